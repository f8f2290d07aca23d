/* SPDX-License-Identifier: MIT */
/*
 * session.h - what the parts of `aspen fuzz` share.
 *
 *   sequence   operations with literal arguments, made by mix.c
 *   kernel     scratch processes of the host, driven from outside
 *              (kernel.c)
 *   model      the same processes in Aspen (model.c)
 *   pair       both, an operation at a time (pair.c), and compared
 *              (compare.c); what may differ (known.c)
 *
 * A sequence starts in fresh processes without any mapping but the executor,
 * whose addresses no operation may touch. There is no chance in the layout:
 * the same sequence does the same again.
 */
#ifndef ASPEN_FUZZ_SESSION_H
#define ASPEN_FUZZ_SESSION_H

#include "host/linux_calls.h"
#include "snapshot/areas.h"
#include "host/host.h"
#include "common/counters.h"
#include "common/tally.h"
#include "common/tool.h"

#include <aspen/aspen.h>
#include <stdio.h>
#include <sys/types.h>

#define FUZZ_PAGE      ((uint64_t)4096)
#define FUZZ_PROCESSES 3u /* at a time */

/* Where the scratch process has its code, and the vector of mincore. */
#define FUZZ_EXECUTOR       ((uint64_t)0x10000)
#define FUZZ_EXECUTOR_PAGES 5u
#define FUZZ_VECTOR         (FUZZ_EXECUTOR + FUZZ_PAGE)
#define FUZZ_VECTOR_BYTES   ((FUZZ_EXECUTOR_PAGES - 1) * FUZZ_PAGE)

/* All mappings together, so that none can exhaust the host. */
#define FUZZ_ADDRESS_SPACE ((uint64_t)32 << 20)

/* ---- Files -------------------------------------------------------------- */

enum fuzz_file { FUZZ_MEMORY, FUZZ_DISK, FUZZ_FILES };

#define FUZZ_FILE_PAGES ((uint64_t)24)      /* at first */
#define FUZZ_DEVICE     ((uint64_t)8 << 32) /* Aspen's; inodes from 1 on */

/* Descriptors of the scratch process: read and write, read, write, a file. */
#define FUZZ_DESCRIPTOR  200
#define FUZZ_DESCRIPTORS (3 * FUZZ_FILES)

/* ---- Operations --------------------------------------------------------- */

enum fuzz_kind {
    FUZZ_CALL,
    FUZZ_READ,   /* address */
    FUZZ_WRITE,  /* address, byte */
    FUZZ_FORK,   /* number of the child */
    FUZZ_EXIT,   /* of this process */
    FUZZ_RESIZE, /* enum fuzz_file, bytes */
    FUZZ_PUNCH,  /* enum fuzz_file, offset, length */
    FUZZ_LIMIT,  /* enum aspen_limit, bytes */
    FUZZ_RIGHTS, /* of the thread, by protection keys; the answer, too */
    FUZZ_KINDS
};

struct fuzz_op {
    enum fuzz_kind kind;
    unsigned process;       /* who does it: 0 is the first */
    struct linux_call call; /* arguments of all kinds are in here */
};

struct fuzz_sequence {
    struct fuzz_op *ops;
    size_t count;
    size_t room;
};

uint64_t fuzz_pages(uint64_t length);
/* Asks for memory to be executed alone, without a key named? */
bool fuzz_op_is_execute_only(const struct fuzz_op *op);
/* By its answer. brk tells by the end that stays. */
bool fuzz_op_is_refused(const struct fuzz_op *op, int64_t answer);

/* Does it reach into the executor, or is it of no process? `processes`: a
 * bit for each that exists. */
bool fuzz_op_is_forbidden(const struct fuzz_op *op, unsigned processes);
/* Those that exist when it was made. */
unsigned fuzz_op_processes(const struct fuzz_op *op, unsigned processes,
                           int64_t answer);

/* False: no memory. */
bool fuzz_sequence_add(struct fuzz_sequence *sequence,
                       const struct fuzz_op *op);
void fuzz_sequence_free(struct fuzz_sequence *sequence);

/* ---- mix.c -------------------------------------------------------------- */

/* Where choices come from: a seed, or bytes of somebody else. */
struct fuzz_choices {
    uint64_t random;
    const uint8_t *bytes; /* NULL: `random` */
    size_t left;          /* of them; when there is none, all choices are 0 */
};

/* What of the mix the host can do; the rest is left out. */
struct fuzz_abilities {
    bool mseal;
    bool pkey;        /* protection keys */
    uint32_t advices; /* a bit for each of fuzz_advices */
};

/* A range that operations come back to. */
struct fuzz_range {
    uint64_t address;
    uint64_t length;
};

#define FUZZ_RECENT 8u

struct fuzz_mix {
    struct fuzz_choices choices;
    const struct fuzz_abilities *abilities;
    struct fuzz_range recent[FUZZ_RECENT]; /* that the kernel picked */
    unsigned recent_used;
    const struct areas *areas; /* what is mapped, or was lately */
    bool one_open;             /* of each file, in this sequence */
    uint64_t brk;              /* the end of the heap */
    bool locks_on_fault;       /* mlock is mlock2 then */
    unsigned processes;        /* a bit for each that exists */
};

/* For the `choices` that are set. Both stay the caller's. */
void fuzz_mix_begin(struct fuzz_mix *mix,
                    const struct fuzz_abilities *abilities,
                    const struct areas *areas);
/* The next operation; some have to be asked for twice, since they would reach
 * into the executor. */
void fuzz_mix_next(struct fuzz_mix *mix, struct fuzz_op *op);
/* It was made, and this was the answer. */
void fuzz_mix_answered(struct fuzz_mix *mix, const struct fuzz_op *op,
                       int64_t answer);

/* What madvise is asked for. */
struct fuzz_advice {
    int number;
    const char *name;
};
#define FUZZ_ADVICES 26u
extern const struct fuzz_advice fuzz_advices[FUZZ_ADVICES];

/* ---- kernel.c ----------------------------------------------------------- */

struct fuzz_kernel {
    pid_t zygote;
    pid_t process[FUZZ_PROCESSES];            /* 0: none */
    FILE *texts[FUZZ_PROCESSES][AREAS_TEXTS]; /* /proc/P/maps, smaps */
    int pagemap[FUZZ_PROCESSES];
    int memory[FUZZ_PROCESSES]; /* /proc/P/mem */
    int files[FUZZ_FILES];
    bool swaps;
    bool pkeys; /* the processor has protection keys */
};

/* A process that has just done exec, stopped. -1: error says why. */
int fuzz_kernel_begin(struct fuzz_kernel *kernel, struct tool_error *error);
/* It gets its executor and loses all that exec mapped. */
int fuzz_kernel_strip(struct fuzz_kernel *kernel, struct tool_error *error);
void fuzz_kernel_end(struct fuzz_kernel *kernel);

/* Process 0 is a child of the zygote; files are new. -1: the host fails. */
int fuzz_kernel_fresh(struct fuzz_kernel *kernel);
/* Those of the sequence go. */
void fuzz_kernel_clear(struct fuzz_kernel *kernel);

/* An answer as calls give it; of READ the byte; signals as GUEST_SIGNAL. */
int64_t fuzz_kernel_do(struct fuzz_kernel *kernel, const struct fuzz_op *op);

/* Whether FUZZ_LIMIT stays below the hard limit, which processes share. */
bool fuzz_limit_is_allowed(enum aspen_limit limit, uint64_t bytes);
/* What the thread of a process may do by protection keys. 0 or GUEST_SIGNAL. */
int64_t fuzz_kernel_rights(struct fuzz_kernel *kernel, unsigned process,
                           uint32_t *rights);

/* A call of the zygote, to find out what the host can do. */
int64_t fuzz_kernel_ask(struct fuzz_kernel *kernel,
                        const struct linux_call *call);

/* ---- model.c ------------------------------------------------------------ */

struct fuzz_disk;

struct fuzz_model {
    struct aspen *aspen;
    enum aspen_semantics semantics; /* of the host's release */
    uint64_t call_limit;            /* its configuration */
    void *direct_map;
    size_t direct_map_bytes;
    struct aspen_mm *zygote;
    struct aspen_mm *process[FUZZ_PROCESSES];
    struct aspen_object *files[FUZZ_FILES];
    struct fuzz_disk *disk;
    enum aspen_placement placement[FUZZ_FILES];
    bool executable[FUZZ_FILES];
    uint8_t *vector; /* the answer of mincore */
    bool pkeys;      /* the machine has them */
    struct aspen_arch_ops arch;
    uint32_t rights[FUZZ_PROCESSES]; /* of each process's thread */
    struct aspen_layout layout;      /* what the zygote starts with */
    uint64_t limits[ASPEN_LIMITS];
    unsigned privileges;
    struct aspen_counters empty; /* without processes and files */
    bool broken; /* the machine: there is another one for fresh processes */
};

int fuzz_model_begin(struct fuzz_model *model, const struct fuzz_kernel *kernel,
                     struct tool_error *error);
void fuzz_model_end(struct fuzz_model *model);
int fuzz_model_fresh(struct fuzz_model *model, struct tool_error *error);
void fuzz_model_clear(struct fuzz_model *model);
int64_t fuzz_model_do(struct fuzz_model *model, const struct fuzz_op *op);

/* ---- compare.c ---------------------------------------------------------- */

struct fuzz_compare {
    struct areas theirs;
    struct areas ours;
    struct areas_files files;
    char what[800]; /* the difference, for people */
};

enum fuzz_result {
    FUZZ_SAME,
    FUZZ_DIFFERENT,
    FUZZ_BROKEN, /* the host or memory failed: no result */
};

struct fuzz_pair;

/* Mappings; residency of private anonymous memory; its bytes. */
enum fuzz_result fuzz_compare_quickly(struct fuzz_pair *pair, unsigned process);
/* VmFlags, counters, bytes of files as well. */
enum fuzz_result fuzz_compare_all(struct fuzz_pair *pair, unsigned process);
/* Of the model alone: the validator finds nothing in the machine, and nothing
 * is left in it when processes and files have gone, which they do. */
enum fuzz_result fuzz_compare_machine(struct fuzz_pair *pair);
/* VmFlags. */
enum fuzz_result fuzz_compare_flags(struct fuzz_pair *pair, unsigned process);
/* The same, but for where neighbours are one? */
bool fuzz_compare_joined(struct fuzz_pair *pair, unsigned process);
/* The same, but that the kernel has several areas where Aspen has one? */
bool fuzz_compare_parts(struct fuzz_pair *pair, unsigned process);
void fuzz_compare_free(struct fuzz_compare *compare);

/* ---- pair.c ------------------------------------------------------------- */

struct fuzz_pair {
    struct fuzz_kernel kernel;
    struct fuzz_model model;
    struct fuzz_abilities abilities;
    struct fuzz_compare compare;
    struct tally deviations;
    struct tally skipped;
    struct tally by_call;
    uint64_t calls;
    uint64_t refused;
    uint64_t sequences;
    unsigned processes; /* a bit for each that exists */
    bool has_filled;    /* the sequence: memory, for mlock */
    bool has_kept_old;  /* the sequence: mappings, with DONTUNMAP */
    unsigned opens;     /* a bit for each descriptor that was mapped */
    bool has_paged_out; /* the sequence: anything */
    bool counts;        /* false while shrinking: tallies stay */
    struct tool_error error;
};

int fuzz_pair_begin(struct fuzz_pair *pair);
void fuzz_pair_end(struct fuzz_pair *pair);

/* Fresh processes on both sides. -1: pair->error. */
int fuzz_pair_fresh(struct fuzz_pair *pair);

enum fuzz_step {
    FUZZ_GO_ON,
    FUZZ_STOP,        /* a deviation after which both go different ways */
    FUZZ_UNEXPLAINED, /* compare.what */
    FUZZ_FAILED,      /* pair->error */
};

/* Both make it and are compared; *answer is the kernel's. */
enum fuzz_step fuzz_pair_step(struct fuzz_pair *pair, const struct fuzz_op *op,
                              int64_t *answer);
/* At the end of a sequence, which its last step gave: everything, or after a
 * deviation the machine. */
enum fuzz_step fuzz_pair_finish(struct fuzz_pair *pair, enum fuzz_step step);

/* The whole sequence again, in fresh processes. */
enum fuzz_step fuzz_pair_replay(struct fuzz_pair *pair,
                                const struct fuzz_sequence *sequence,
                                size_t *made);

/* ---- known.c ------------------------------------------------------------ */

/* FUZZ_UNEXPLAINED: no difference that is known. */

/* Of answers. */
enum fuzz_step fuzz_known_answer(struct fuzz_pair *pair,
                                 const struct fuzz_op *op, int64_t theirs,
                                 int64_t ours);
/* Of what both refused. */
enum fuzz_step fuzz_known_refusal(struct fuzz_pair *pair,
                                  const struct fuzz_op *op);
/* Of what both have done: where neighbours are one. */
enum fuzz_step fuzz_known_split(struct fuzz_pair *pair, unsigned process);
/* Of what both refused, and what does not show yet. */
enum fuzz_step fuzz_known_guards(struct fuzz_pair *pair,
                                 const struct fuzz_op *op, int64_t answer);
/* Of what a refused call has done to keys and rights. */
enum fuzz_step fuzz_known_pkeys(struct fuzz_pair *pair,
                                const struct fuzz_op *op);
/* Of mincore's answers for a page. */
bool fuzz_known_residency(struct fuzz_pair *pair, uint64_t address,
                          bool theirs);

/* ---- shrink.c ----------------------------------------------------------- */

/* Fewer operations that still differ. -1: pair->error. */
int fuzz_shrink(struct fuzz_pair *pair, struct fuzz_sequence *sequence);

/* ---- text.c ------------------------------------------------------------- */

/* A C program that makes the sequence on the host and prints its answers. */
void fuzz_text_write(FILE *to, const struct fuzz_sequence *sequence,
                     const char *title, const char *what);
/* Such a program's operations. -1: error. */
int fuzz_text_read(FILE *from, const char *path, struct fuzz_sequence *sequence,
                   struct tool_error *error);
/* "0: mmap(0x.., ...)" */
void fuzz_text_op(const struct fuzz_op *op, char *text, size_t size);

/* ---- picture.c ---------------------------------------------------------- */

/* A page; with what each operation did, if there is a sequence, which is made
 * once more. compare.what is the difference, empty: none. -1: pair->error. */
int fuzz_picture_write(const char *path, struct fuzz_pair *pair,
                       const struct fuzz_sequence *sequence, const char *title);

#endif
