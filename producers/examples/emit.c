/* emit.c - publishes the lines of a file, each a JSON event.
 *
 *     emit BROKERS REGION FILE
 *
 * What a service does, too: publish without waiting, poll now and then, flush before the end. Exits with 0 when
 * Kafka has every event.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <trailbus/producer.h>

#define LINE_SIZE (TRAILBUS_EVENT_SIZE_MAX + 2)

static void on_delivery(void *context, void *opaque, const struct trailbus_delivery *delivery)
{
    unsigned long *lost = context, *line = opaque;

    if (delivery->result != TRAILBUS_OK) {
        fprintf(stderr, "line %lu, event %s: %s\n", *line, delivery->event_id, delivery->error);
        ++*lost;
    }
    free(line);
}

/* Waits only when the library is full, and for an outcome then. */
static enum trailbus_result publish(struct trailbus_producer *producer, const char *json,
                                    unsigned long number)
{
    char error[TRAILBUS_ERROR_SIZE] = "no memory";
    unsigned long *line = malloc(sizeof(*line));
    enum trailbus_result result = TRAILBUS_NO_MEMORY;

    if (line) {
        *line = number;
        while ((result = trailbus_producer_publish(producer, json, strlen(json), line, error,
                                                   sizeof(error))) == TRAILBUS_FULL)
            trailbus_producer_poll(producer, 100);
        trailbus_producer_poll(producer, 0);
    }
    if (result != TRAILBUS_OK) {
        fprintf(stderr, "line %lu: %s\n", number, error);
        free(line);
    }
    return result;
}

static unsigned long publish_lines(struct trailbus_producer *producer, FILE *file)
{
    char *line = malloc(LINE_SIZE);
    unsigned long number = 0, bad = 0;

    while (line && fgets(line, LINE_SIZE, file)) {
        number++;
        if (line[strspn(line, " \t\r\n")] != '\0')
            bad += publish(producer, line, number) != TRAILBUS_OK;
    }
    free(line);
    return bad;
}

int main(int argc, char **argv)
{
    struct trailbus_producer *producer = NULL;
    struct trailbus_options options = {0};
    char error[TRAILBUS_ERROR_SIZE];
    unsigned long bad, lost = 0;
    FILE *file;

    if (argc != 4) {
        fprintf(stderr, "usage: emit BROKERS REGION FILE\n");
        return 2;
    }
    options.size = sizeof(options);
    options.brokers = argv[1];
    options.region = argv[2];
    options.client = "emit";
    options.on_delivery = on_delivery;
    options.context = &lost;
    file = fopen(argv[3], "r");
    if (!file) {
        perror(argv[3]);
        return 2;
    }
    if (trailbus_producer_open(&options, &producer, error, sizeof(error)) != TRAILBUS_OK) {
        fprintf(stderr, "%s\n", error);
        fclose(file);
        return 2;
    }
    bad = publish_lines(producer, file);
    fclose(file);
    trailbus_producer_close(producer, 30000); /* flushes; what is given up is told to on_delivery */
    return bad || lost ? 1 : 0;
}
