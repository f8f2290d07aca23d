/* SPDX-License-Identifier: MIT */
/*
 * bare.h - the program that asks a processor which is not ours (README.md).
 *
 *   main.c      one scene after the other, what they say, the end
 *   probe.c     an access by a program, beside tests/mmu: the comparison
 *   model.c     what a program has to find in its spaces, and calls on both
 *   scenes.c    what is done to spaces, in order and by chance
 *   two.c       the same beside a second CPU in a program
 *   kernel.c    the kernel's part of the port: memory, waiting, switches
 *   libc.c      text, and what tests/mmu asks a C library for
 *   machine/    what differs: a folder's worth of code for each processor
 */
#ifndef BARE_H
#define BARE_H

#include <aspen/aspen.h>
#include <aspen_kernel.h>
#ifdef ASPEN_TEST_BUILD
#include <aspen/lock_order.h>
#endif

#include "mmu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE         ((uint64_t)4096)
#define LENGTH(list) (sizeof(list) / sizeof((list)[0]))

/* ---- Text, and the end (libc.c, main.c) --------------------------------- */

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The scene has failed; it goes on, and who finds too much ends all. */
void found(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Nothing goes on. */
_Noreturn void give_up(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
unsigned found_so_far(void);

#define MUST(call)                                                             \
    do {                                                                       \
        int error_ = (call);                                                   \
        if (error_)                                                            \
            give_up("%s:%d: %s: %d", __FILE__, __LINE__, #call, error_);       \
    } while (0)

/* ---- The processor, machine/ --------------------------------------------- */

enum trap_kind {
    TRAP_CALL,  /* the program says that it is done */
    TRAP_FAULT, /* aspen_fault()'s */
    TRAP_OTHER, /* any other exception */
};

/* Why an access faults. */
enum why {
    WHY_NOT,    /* it does not */
    WHY_ABSENT, /* nothing is there */
    WHY_FLAG,   /* nobody has set the access flag */
    WHY_DENIED,
    WHY_UNTOLD, /* the processor does not say */
};

#define LEVEL_UNTOLD 9u

struct trap {
    enum trap_kind kind;
    enum mmu_access access;
    enum why why;
    unsigned level; /* of the entry, or UNTOLD */
    uint64_t address;
    uint64_t pc;
    uint64_t cause; /* as the processor has it, for people */
};

/* A program that runs, or could: its registers. */
struct program {
    uint64_t words[48] __attribute__((aligned(16)));
};

struct machine {
    const char *name;
    uint64_t ram_start, ram_bytes; /* physical */
    char *direct_map;      /* where physical address 0 is, or would be */
    uint64_t far;          /* near the top of what programs have */
    uint64_t kernel_start; /* of the configuration */
    bool sets_flags;       /* the processor writes accessed and dirty */
    bool execute_only;     /* entries can say it */
    unsigned config_flags;
};
extern struct machine machine;

/* The first CPU's; `machine` is filled. */
void machine_init(void);
/* This CPU is that one from now on, and has this record. */
struct aspen_kernel_cpu *machine_cpu(unsigned number);
/* Another one runs, as number 1; false: there is none. */
bool machine_start_second(void (*run)(uint64_t argument), char *stack_end);
/* Answer what other CPUs ask for by an interrupt, where they do. */
void machine_poll(void);
void machine_write(char byte);
_Noreturn void machine_off(int status);
/* The kernel's half of a new top table. */
void machine_begin_root(uint64_t *root);
/* 0: no space. */
void machine_load(uint32_t root);
/* Before going back from a fault that was repaired. */
void machine_faulted(uint64_t address);

void program_begin(struct program *program, uint64_t pc, uint64_t a, uint64_t b,
                   uint64_t c);
void program_run(struct program *program, struct trap *trap);
/* a, b, c, as they are now. */
uint64_t program_word(const struct program *program, unsigned number);

/*
 * Code of programs (machine/ NAME.S), position independent, with a, b, c in
 * registers:
 *
 *   load     c = *a; call         reader   for (;;) {*b = *a; b[1]++;}
 *   store    *a = b; call         writer   for (;;) {*a = ++c; *b = c;}
 *   call     call
 */
extern char user_begin[], user_load[], user_store[], user_reader[],
    user_writer[], user_call[], user_end[];

/* ---- The kernel, kernel.c ------------------------------------------------ */

struct bare_cpu {
    struct aspen_kernel_cpu *port;
    struct aspen_mm *loaded;
#ifdef ASPEN_TEST_BUILD
    struct aspen_lock_order lock_order;
#endif
};

extern struct bare_cpu bare_cpus[2];
extern struct aspen *aspen;

void kernel_begin(void);
/* This CPU goes to that space; NULL: to none. */
void kernel_switch(struct aspen_mm *mm);
/* Run a program of the space that is loaded, until something happens. */
void kernel_run(struct program *program, struct trap *trap);
/* Callbacks of RCU run. */
void kernel_settle(void);
/* Pages leave, and the flags of others are cleared without a flush
 * (docs/design/reclaim.md): this CPU may go on without setting them until it
 * switches. */
void kernel_reclaim(unsigned pages);
extern bool kernel_flags_cached;
/* A frame that is not the machine's. */
extern uint32_t kernel_raw;

static inline void *
frame_pointer(uint64_t frame)
{
    return machine.direct_map + frame * PAGE;
}

/* ---- Comparison, probe.c ------------------------------------------------- */

/* Where each space has the code above, in a private mapping of a file. */
#define CODE_AT 0x8000000u
/* Where in a page code stands, if it has any; data is at 0. */
#define CODE_IN_PAGE 64u

static inline uint64_t
code_of(const char *symbol)
{
    return CODE_AT + (uint64_t)(symbol - user_begin);
}

void probe_begin(void);
/*
 * The program reads, writes or fetches; faults are repaired until it is done
 * (0) or aspen_fault() has an error. With `compared` each attempt is what
 * tests/mmu says of the tables: nobody changes them meanwhile.
 */
int probe_touch(struct aspen_mm *mm, uint64_t address, enum mmu_access access,
                uint64_t *value, bool compared);
/* How many accesses were compared. */
extern uint64_t probe_compared, probe_faults;

/* ---- What has to be there, model.c ----------------------------------------
 */

#define MODEL_PAGES  80u
#define MODEL_SPACES 3u

enum model_kind { MODEL_ANON, MODEL_PRIVATE, MODEL_FILE, MODEL_SHMEM };

struct model_page {
    enum model_kind kind;
    bool mapped, guard, own;
    uint64_t rights;
    uint64_t value; /* if own */
    unsigned index; /* in the object */
};

struct model_space {
    struct aspen_mm *mm; /* NULL: is not there */
    struct model_page pages[MODEL_PAGES];
};

extern struct model_space model[MODEL_SPACES];
extern struct aspen_object *model_file;

uint64_t model_address(unsigned page);
/* The first page of the next kind; pages of a range are of one kind. */
unsigned model_kind_end(unsigned page);

void model_begin(void); /* objects, a device to swap to */
void model_create(unsigned space);
void model_end(unsigned space);
void model_map(unsigned space, unsigned first, unsigned count, uint64_t rights);
void model_unmap(unsigned space, unsigned first, unsigned count);
void model_protect(unsigned space, unsigned first, unsigned count,
                   uint64_t rights);
void model_advise(unsigned space, unsigned first, unsigned count,
                  enum aspen_advice advice);
void model_fork(unsigned from, unsigned to);
void model_write_file(unsigned index, uint64_t value);
/* A compared access, with what it finds. */
void model_touch(unsigned space, unsigned page, enum mmu_access access);
/* Each page, read and fetched, and written if asked for. */
void model_sweep(unsigned space, bool write);
void model_sweep_all(bool write);

/* ---- Scenes ---------------------------------------------------------------
 */

uint64_t chance(uint64_t below);

struct scene {
    const char *name;
    void (*run)(void);
};
extern const struct scene scenes_one[], scenes_two[]; /* end with no name */
/* There is a second CPU, and it waits. */
bool two_begin(void);

#endif
