/* SPDX-License-Identifier: MIT */
/*
 * ideal.c - what exact LRU and Belady's optimum have in memory of a trace. See
 * trace.h.
 *
 * Called by run.c, and by tests/unit/reclaim/test_policy.c, which breaks first.
 */
#include "trace/trace.h"

#include <stdlib.h>

static double
ratio(const struct trace *trace, size_t hits, size_t skipped)
{
    return trace->length > skipped
               ? (double)hits / (double)(trace->length - skipped)
               : 0;
}

/* Access `i` has found its page. */
static size_t
hit(size_t i, size_t skipped, struct trace_parts *parts)
{
    if (parts)
        parts->hits[i / parts->each]++;
    return i >= skipped;
}

/* ---- Exact LRU --------------------------------------------------------- */

/* A ring of the pages in memory, the last one accessed first; its head stands
 * behind the pages. */
struct ring {
    uint32_t next;
    uint32_t previous;
};

static void
ring_remove(struct ring *ring, uint32_t page)
{
    ring[ring[page].previous].next = ring[page].next;
    ring[ring[page].next].previous = ring[page].previous;
    ring[page].next = page;
}

static void
ring_add(struct ring *ring, uint32_t head, uint32_t page)
{
    ring[page] = (struct ring){ring[head].next, head};
    ring[ring[head].next].previous = page;
    ring[head].next = page;
}

double
trace_lru(const struct trace *trace, uint32_t memory, size_t skipped,
          struct trace_parts *parts)
{
    uint32_t head = trace->pages, count = 0;
    struct ring *ring = malloc(((size_t)head + 1) * sizeof(*ring));
    size_t hits = 0;

    if (!ring)
        return -1;
    /* What is alone is not in memory. */
    for (uint32_t page = 0; page <= head; page++)
        ring[page] = (struct ring){page, page};
    for (size_t i = 0; i < trace->length; i++) {
        uint32_t page = trace->accesses[i];
        if (ring[page].next != page) {
            hits += hit(i, skipped, parts);
            ring_remove(ring, page);
        } else if (count == memory) {
            ring_remove(ring, ring[head].previous);
        } else {
            count++;
        }
        ring_add(ring, head, page);
    }
    free(ring);
    return ratio(trace, hits, skipped);
}

/* ---- The optimum ------------------------------------------------------- */

/* A heap of pages, the one on top that is accessed again last; what is old, as
 * the page has been accessed since, is passed over. */
struct later {
    uint32_t at;
    uint32_t page;
};

struct optimum {
    struct later *heap;
    size_t heaped;
    uint32_t *again; /* for each access, when its page is accessed next */
    uint32_t *at;    /* for each page in memory; NEVER - 1: it is not */
};

#define NEVER UINT32_MAX
#define OUT   (NEVER - 1)

static void
heap_push(struct optimum *o, struct later later)
{
    size_t i = o->heaped++;

    while (i && o->heap[(i - 1) / 2].at < later.at) {
        o->heap[i] = o->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    o->heap[i] = later;
}

static struct later
heap_pop(struct optimum *o)
{
    struct later top = o->heap[0], last = o->heap[--o->heaped];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < o->heaped) {
        if (child + 1 < o->heaped && o->heap[child + 1].at > o->heap[child].at)
            child++;
        if (o->heap[child].at <= last.at)
            break;
        o->heap[i] = o->heap[child];
        i = child;
    }
    o->heap[i] = last;
    return top;
}

static void
take_out(struct optimum *o)
{
    struct later later;

    do
        later = heap_pop(o);
    while (o->at[later.page] != later.at);
    o->at[later.page] = OUT;
}

static size_t
hits_of(struct optimum *o, const struct trace *trace, uint32_t memory,
        size_t skipped, struct trace_parts *parts)
{
    uint32_t *seen = o->at, count = 0;
    size_t hits = 0;

    for (uint32_t page = 0; page < trace->pages; page++)
        seen[page] = NEVER;
    for (size_t i = trace->length; i-- > 0;) {
        o->again[i] = seen[trace->accesses[i]];
        seen[trace->accesses[i]] = (uint32_t)i;
    }
    for (uint32_t page = 0; page < trace->pages; page++)
        o->at[page] = OUT;
    for (size_t i = 0; i < trace->length; i++) {
        uint32_t page = trace->accesses[i];
        if (o->at[page] != OUT)
            hits += hit(i, skipped, parts);
        else if (count == memory)
            take_out(o);
        else
            count++;
        o->at[page] = o->again[i];
        heap_push(o, (struct later){o->again[i], page});
    }
    return hits;
}

double
trace_optimum(const struct trace *trace, uint32_t memory, size_t skipped,
              struct trace_parts *parts)
{
    struct optimum o = {
        .heap = malloc((trace->length + 1) * sizeof(*o.heap)),
        .again = malloc((trace->length + 1) * sizeof(*o.again)),
        .at = malloc(((size_t)trace->pages + 1) * sizeof(*o.at)),
    };
    double result = -1;

    if (o.heap && o.again && o.at)
        result =
            ratio(trace, hits_of(&o, trace, memory, skipped, parts), skipped);
    free(o.heap);
    free(o.again);
    free(o.at);
    return result;
}
