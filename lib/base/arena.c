/* arena.c - memory that is forgotten together. Blocks in a chain, the first one is kept. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

#define ARENA_BLOCK_SIZE 65536
#define ARENA_ALIGN      16

struct arena_block {
    struct arena_block *next;
    size_t cap, used;
    _Alignas(ARENA_ALIGN) char bytes[];
};

struct arena {
    struct arena_block *first, *last;
    size_t size_max, held; /* held: the sum of all blocks' caps */
    int error;
};

static void *arena_fail(struct arena *arena, int r)
{
    arena->error = r;
    return NULL;
}

static struct arena_block *arena_grow(struct arena *arena, size_t len)
{
    size_t cap = MAX_OF(len, MIN_OF((size_t)ARENA_BLOCK_SIZE, arena->size_max - arena->held));
    struct arena_block *block;

    if (cap > arena->size_max - arena->held)
        return arena_fail(arena, -ERR_LIMIT);
    block = malloc(sizeof(*block) + cap);
    if (!block)
        return arena_fail(arena, -ERR_NOMEM);
    *block = (struct arena_block){.cap = cap};
    arena->held += cap;
    if (arena->last)
        arena->last->next = block;
    else
        arena->first = block;
    arena->last = block;
    return block;
}

struct arena *arena_new(size_t size_max)
{
    struct arena *arena = calloc(1, sizeof(*arena));

    if (!arena)
        return NULL;
    arena->size_max = size_max;
    if (!arena_grow(arena, MIN_OF(size_max, (size_t)ARENA_BLOCK_SIZE))) {
        free(arena);
        return NULL;
    }
    return arena;
}

static void free_blocks(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;

        free(block);
        block = next;
    }
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    free_blocks(arena->first);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    free_blocks(arena->first->next);
    arena->first->next = NULL;
    arena->first->used = 0;
    arena->last = arena->first;
    arena->held = arena->first->cap;
    arena->error = 0;
}

void *arena_get(struct arena *arena, size_t len)
{
    struct arena_block *block = arena->last;
    void *at;

    if (len > SIZE_MAX - ARENA_ALIGN)
        return arena_fail(arena, -ERR_LIMIT);
    len = (len + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (len > block->cap - block->used) {
        block = arena_grow(arena, len);
        if (!block)
            return NULL;
    }
    at = block->bytes + block->used;
    block->used += len;
    return at;
}

struct str arena_copy(struct arena *arena, struct str s)
{
    char *at;

    if (s.len == 0)
        return STR("");
    at = arena_get(arena, s.len);
    if (!at)
        return STR_NONE;
    memcpy(at, s.at, s.len);
    return str_of(at, s.len);
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    int len;
    char *at;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    at = arena_get(arena, (size_t)len + 1);
    if (!at)
        return STR_NONE;
    va_start(args, format);
    (void)vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    return str_of(at, (size_t)len);
}

int arena_error(const struct arena *arena)
{
    return arena->error;
}

size_t arena_used(const struct arena *arena)
{
    size_t used = 0;

    for (const struct arena_block *block = arena->first; block; block = block->next)
        used += block->used;
    return used;
}
