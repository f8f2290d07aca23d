/* SPDX-License-Identifier: MIT */
/*
 * session.h - `aspen explore`: what is wanted of scenarios, and what is known
 * of them. The scenarios are in programs of their own, built on the sim port
 * (tests/explore/scene/serve.h): they are run, and answer in lines of JSON.
 */
#ifndef ASPEN_EXPLORE_SESSION_H
#define ASPEN_EXPLORE_SESSION_H

#include "common/tool.h"

#include <jansson.h>
#include <stdio.h>

#define EXPLORE_COMMAND "explore"
#define EXPLORE_SCHEMA  "aspen.explore/1"

/* How orders are chosen. */
struct explore_wish {
    uint64_t preemptions; /* EXPLORE_ANY: no bound */
    uint64_t most;        /* runs of one scenario */
    uint64_t part;        /* from 1 on */
    uint64_t parts;       /* 0: not shared out */
    uint64_t random;      /* runs of each; 0: all orders, none at random */
    uint64_t seed;
    uint64_t older;   /* loads of a run that may find older values */
    uint64_t at;      /* from 1 on, of each `every` scenarios */
    uint64_t every;   /* 0: all of them */
    bool no_races;    /* by programs that do not see plain memory */
    const char *html; /* the page that is written; or NULL */
    bool json;
};

#define EXPLORE_ANY UINT64_MAX

/* ---- programs.c --------------------------------------------------------- */

/** The folder with the programs: this one, or, for NULL, that beside the
 * command. 0, or EXIT_REFUSED, and said. */
int explore_find_programs(const char *given, char *folder, size_t size);

/** Every scenario's name, in order, an array of strings. 0 or EXIT_REFUSED. */
int explore_list(const char *folder, json_t **names);

/** Is told of each line, which is its own no longer than that. */
typedef int explore_hearer(void *context, json_t *line);

/** How a program is run. */
struct explore_call {
    const char *folder;
    const char *name;     /* of the scenario; all of the program if it ends
                             behind the program's */
    const char *words;    /* see tests/explore/scene/serve.c */
    const char *schedule; /* or NULL */
    bool sees;            /* that build of it which sees plain memory */
};

/** There is such a build of the scenario's program. */
bool explore_sees(const char *folder, const char *name);

/** 0 or EXIT_REFUSED. */
int explore_run(const struct explore_call *call, explore_hearer *hear,
                void *context);

/* ---- report.c ----------------------------------------------------------- */

/** The object that --json prints; the caller's. `scenarios` is taken over. */
json_t *explore_json(const struct explore_wish *wish, json_t *scenarios);

/** What is behind the name in a line of --replay: "relaxed ", "no-races ", "".
 */
const char *explore_memory_word(const json_t *scenario);

/** One scenario, as words: a line, and how it failed. */
void explore_tell(FILE *to, const struct explore_wish *wish,
                  const json_t *scenario);

/** All of them. Returns the exit status. */
int explore_report(const struct explore_wish *wish, json_t *scenarios);

/* ---- page.c ------------------------------------------------------------- */

/** Write the page; 0 or EXIT_REFUSED. */
int explore_page(const char *path, const json_t *scenarios);

/** A page with what `write` makes of it; 0 or EXIT_REFUSED. */
typedef void explore_writer(FILE *file, const json_t *what);
int explore_write(const char *path, const char *title, const json_t *what,
                  explore_writer *write);

/* ---- conflicts.c -------------------------------------------------------- */

/** Print the conflict matrix, and write its page; the exit status. */
int explore_conflicts(const struct explore_wish *wish);

/* ---- merge.c ------------------------------------------------------------ */

/** Add up what all parts have printed; the exit status. */
int explore_merge(char **files, int count, const struct explore_wish *wish);

#endif
