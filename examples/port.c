/* SPDX-License-Identifier: MIT */
/*
 * The smallest port, for one CPU whose tasks are never taken off it, and a toy
 * of a kernel on it: a page is mapped, touched, and forked. The header is the
 * template's (ports/template), so only what that leaves open is here.
 * docs/use/porting.md shows both; `make check` compares.
 */
#include <aspen/aspen.h>
#include <aspen_port.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE   4096u
#define FRAMES 4096u

/* RAM, and a stretch that is set aside at boot. */
static _Alignas(PAGE) char ram[FRAMES * PAGE];
static _Alignas(PAGE) char early[1 << 20];
static struct aspen *machine;

/* ---- The port ------------------------------------------------------------ */

/* Until there is a machine, from the stretch; then frames of the machine. */
void *
aspen_port_memory_alloc(size_t bytes)
{
    static size_t used;
    struct aspen_frames_args args = {.kind = ASPEN_FRAMES_METADATA,
                                     .flags = ASPEN_FRAMES_ZEROED};
    char *memory = early + used;
    uint32_t first;

    if (!machine) {
        used += (bytes + PAGE - 1) / PAGE * PAGE;
        return used <= sizeof(early) ? memory : NULL;
    }
    while ((PAGE << args.order) < bytes)
        args.order++;
    return aspen_frames_alloc(machine, &args, &first) ? NULL
                                                      : ram + first * PAGE;
}

void
aspen_port_memory_free(void *memory, size_t bytes)
{
    size_t offset = (size_t)((char *)memory - ram);

    (void)bytes;
    if (memory && offset < sizeof(ram))
        aspen_frames_free(machine, (uint32_t)(offset / PAGE));
}

/* One CPU, and no task is taken off it while it reads: nobody else can. */
void
aspen_port_rcu_read_lock(void)
{
}

void
aspen_port_rcu_read_unlock(void)
{
}

void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head))
{
    callback(head);
}

void
aspen_port_rcu_synchronise(void)
{
}

void
aspen_port_rcu_barrier(void)
{
}

/* With tasks that sleep: your scheduler. Here there is one. */
void
aspen_port_wait_while(const void *key, bool (*busy)(const void *argument),
                      const void *argument)
{
    (void)key;
    if (busy(argument))
        aspen_port_panic("the only task waits");
}

void
aspen_port_wake_all(const void *key)
{
    (void)key;
}

bool
aspen_port_fatal_signal_pending(void)
{
    return false;
}

unsigned
aspen_port_cpu(void)
{
    return 0;
}

/* On x86-64 with one CPU: CR3 is written once more, if flush->root is in it. */
void
aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    (void)flush;
}

#ifdef ASPEN_PORT_ICACHE_SYNC
/* AArch64, RISC-V: what was stored is what is fetched from now on. */
void
aspen_port_icache_sync(const void *memory, size_t bytes)
{
    char *start = (char *)(uintptr_t)memory;

    __builtin___clear_cache(start, start + bytes);
}
#endif

void
aspen_port_panic(const char *message)
{
    fprintf(stderr, "panic: %s\n", message);
    abort();
}

/* ---- The toy ------------------------------------------------------------- */

static void
must(int error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "%s: %s\n", what, aspen_error_name(error));
    exit(1);
}

/* The handler of page faults. */
static void
page_fault(struct aspen_mm *mm, uint64_t address, unsigned access)
{
    int error = aspen_fault(mm, address, access);

    if (error) /* a signal, by the table of aspen/fault.h */
        printf("a signal for %s\n", aspen_error_name(error));
}

/* What a processor does with a program's access: aspen_mm_root() is the frame
 * of the table where it begins to walk. */
static char *
touch(struct aspen_mm *mm, uint64_t address, unsigned access)
{
    uint32_t frame;

    if (aspen_translate(mm, address, access, &frame))
        page_fault(mm, address, access);
    if (aspen_translate(mm, address, access, &frame))
        return NULL;
    return ram + (size_t)frame * PAGE + address % PAGE;
}

int
main(void)
{
    struct aspen_config config;
    struct aspen_mm *parent, *child;
    uint64_t address;

    aspen_config_init(&config);
    config.frames = FRAMES;
    config.direct_map = ram;
    must(aspen_create(&config, &machine), "create");
    must(aspen_mm_create(machine, &parent), "mm_create");
    must(aspen_mmap(parent,
                    &(struct aspen_mmap_args){
                        .length_bytes = 4 * PAGE,
                        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE,
                    },
                    &address),
         "mmap");
    *touch(parent, address, ASPEN_ACCESS_WRITE) = 'p';
    must(aspen_fork(parent, &child), "fork");
    *touch(child, address, ASPEN_ACCESS_WRITE) = 'c';
    printf("parent %c, child %c\n", *touch(parent, address, ASPEN_ACCESS_READ),
           *touch(child, address, ASPEN_ACCESS_READ));
    (void)touch(child, address - PAGE, ASPEN_ACCESS_READ);
    aspen_mm_put(child);
    aspen_mm_put(parent);
    return 0;
}
