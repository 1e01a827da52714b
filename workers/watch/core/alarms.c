/* alarms.c - rounds of alarms. */
#include "alarms.h"

#include <stdio.h>

void alarms_begin(struct alarms *a)
{
    for (size_t i = 0; i < a->count; i++)
        a->at[i].said = false;
}

void alarms_say(struct alarms *a, const char *id, const char *why, int64_t now_ms)
{
    size_t i = 0;

    while (i < a->count && strcmp(a->at[i].id, id) != 0)
        i++;
    if (i == ALARMS_MAX)
        return;
    if (i == a->count) {
        a->at[a->count++] = (struct alarm){.since_ms = now_ms};
        (void)snprintf(a->at[i].id, ALARM_ID_SIZE, "%s", id);
    }
    (void)snprintf(a->at[i].why, ALARM_WHY_SIZE, "%s", why);
    a->at[i].said = true;
}

const struct alarm *alarms_next_begun(struct alarms *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (!a->at[i].told) {
            a->at[i].told = true;
            return &a->at[i];
        }
    return NULL;
}

bool alarms_next_over(struct alarms *a, struct alarm *ret)
{
    for (size_t i = 0; i < a->count; i++)
        if (!a->at[i].said) {
            *ret = a->at[i];
            a->at[i] = a->at[--a->count];
            return true;
        }
    return false;
}
