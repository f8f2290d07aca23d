/* SPDX-License-Identifier: MIT */
/*
 * picture.c - the page of a sequence: what is mapped after each operation, by
 * the kernel and in Aspen. For that the sequence is made once more.
 *
 * Called by command.c. tests/tools/pages.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/session.h"

#include "page/page.h"
#include "page/ranges.h"

#include <inttypes.h>
#include <string.h>

/* More pictures than that nobody looks at. */
#define STEPS_MAX 500u

static json_t *
side_json(const struct areas *areas)
{
    json_t *list = json_array();

    for (size_t i = 0; i < areas->count; i++)
        json_array_append_new(list, page_range(areas->list[i].start,
                                               areas->list[i].end,
                                               areas->list[i].flags));
    return list;
}

/* Both sides of the process that made it; without them where it has ended. */
static json_t *
sides_json(struct fuzz_pair *pair, unsigned process)
{
    struct areas theirs = {0}, ours = {0};
    json_t *sides = json_object();
    struct aspen_mm *mm = pair->model.process[process];
    pid_t pid = pair->kernel.process[process];

    if (mm && pid &&
        areas_of_host(&theirs, AREAS_MAPS, pid, &pair->error) == 0 &&
        areas_of_aspen(&ours, AREAS_MAPS, mm, &pair->error) == 0) {
        json_object_set_new(sides, "kernel", side_json(&theirs));
        json_object_set_new(sides, "Aspen", side_json(&ours));
    }
    areas_free(&theirs);
    areas_free(&ours);
    return sides;
}

static json_t *
step_json(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t answer,
          bool differs)
{
    char text[200], line[240];

    fuzz_text_op(op, text, sizeof(text));
    if (answer < 0 && answer > -4096)
        snprintf(line, sizeof(line), "%s = %" PRId64, text, answer);
    else
        snprintf(line, sizeof(line), "%s = 0x%" PRIx64, text, (uint64_t)answer);
    return json_pack("{sssbso}", "text", line, "differs", differs, "sides",
                     sides_json(pair, op->process));
}

/* 0, or -1: pair->error. */
static int
make_steps(struct fuzz_pair *pair, const struct fuzz_sequence *sequence,
           json_t *steps)
{
    enum fuzz_step step = FUZZ_GO_ON;

    if (fuzz_pair_fresh(pair) != 0)
        return -1;
    for (size_t i = 0;
         i < sequence->count && i < STEPS_MAX && step == FUZZ_GO_ON; i++) {
        const struct fuzz_op *op = &sequence->ops[i];
        int64_t answer;

        if (fuzz_op_is_forbidden(op, pair->processes))
            continue;
        step = fuzz_pair_step(pair, op, &answer);
        if (step == FUZZ_FAILED)
            return -1;
        json_array_append_new(
            steps, step_json(pair, op, answer, step == FUZZ_UNEXPLAINED));
    }
    return 0;
}

int
fuzz_picture_write(const char *path, struct fuzz_pair *pair,
                   const struct fuzz_sequence *sequence, const char *title)
{
    char what[sizeof(pair->compare.what)];
    json_t *steps = json_array();
    struct page page;

    memcpy(what, pair->compare.what, sizeof(what));
    if (sequence && make_steps(pair, sequence, steps) != 0)
        goto failed;
    memcpy(pair->compare.what, what, sizeof(what));
    if (page_begin(&page, path, PAGE_WIDE, "aspen fuzz", &pair->error) != 0)
        goto failed;
    page_facts_begin(&page);
    page_fact(&page, "Made", "%" PRIu64 " calls in %" PRIu64 " sequences",
              pair->calls, pair->sequences);
    page_fact(&page, "Sequence", "%s", title);
    page_fact(&page, "Result", "%s",
              what[0] ? what : "no unexplained difference");
    page_facts_end(&page);
    if (sequence) {
        page_heading(&page, NULL, "What is mapped after each operation");
        if (sequence->count > STEPS_MAX)
            fprintf(page.file, "<p class=\"soft\">The first %u of %zu.</p>\n",
                    STEPS_MAX, sequence->count);
        page_view(&page, "strip", json_pack("{so}", "steps", steps));
        steps = NULL;
    }
    json_decref(steps);
    return page_end(&page, &pair->error);

failed:
    json_decref(steps);
    return -1;
}
