/* SPDX-License-Identifier: MIT */
/*
 * command.c - `aspen pressure`: options, workloads. A program of its own, since
 * it measures: it is linked with the release build, and with what swap devices
 * need.
 *
 * tests/tools/pressure.sh breaks first.
 */
#define _GNU_SOURCE
#include "common/options.h"
#include "pressure/kernel.h"
#include "pressure/picture.h"
#include "pressure/report.h"
#include "pressure/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMMAND "pressure"
#define MIB     ((uint64_t)1 << 20)
/* The comparison with LRU and the optimum takes 24 bytes for each. */
#define ACCESSES_MAX 100000000u

static const char help[] =
    "usage: aspen pressure WORKLOAD [options]\n"
    "\n"
    "Access more pages than a machine has memory for, and compare each with "
    "what\n"
    "was written to it.\n"
    "\n"
    "  sequential     each page, one after the other, again and again\n"
    "  loop           the same, of 1.5 times the memory\n"
    "  random         any page\n"
    "  zipf           some far more often than others\n"
    "  scan           a hot set, and a scan through all the rest beside it\n"
    "  phase          a part of the pages, which moves ten times\n"
    "  fork           as zipf, while children come and go\n"
    "  trace FILE     what a program did, as aspen shadow --trace has recorded "
    "it\n";

static const char help_options[] =
    "\n"
    "  --memory BYTES  of the machine (64M)\n"
    "  --pages N       that are accessed (four times the memory)\n"
    "  --swap DEVICE   memory, lz4, zstd, file:PATH, nbd:URI; or none: the "
    "pages\n"
    "                  are a file's, in memory of this program (memory)\n"
    "  --threads N     that access them (1)\n"
    "  --seed N        of all that is done by chance (1)\n"
    "  --accesses N    to make (four for each page)\n"
    "  --faults LIST   let the device fail: errors, short, late, gone, lies,\n"
    "                  full, with commas between; and exchange it for another\n"
    "                  now and then\n"
    "  --checksum      the machine keeps a checksum of each page in swap\n"
    "  --kernel        with --swap none: beside it the host's kernel does the "
    "same\n"
    "                  in a memory cgroup\n"
    "  --html FILE     a page with pictures of how it went\n"
    "  --samples FILE  the numbers of these, for gnuplot\n"
    "  --json          print one JSON object on stdout\n"
    "  --help          print this\n"
    "\n"
    "Exit status: 0 every byte was right, 1 some were not, 2 usage or the "
    "system\n"
    "refused.\n";

struct arguments {
    uint64_t memory_bytes;
    uint64_t pages;    /* 0: not given */
    uint64_t accesses; /* the same */
    uint64_t threads;
    uint64_t seed;
    bool seed_given;
    const char *file; /* NULL: pages are accessed by chance */
    const char *swap;
    struct pressure_faults faults;
    bool can_fail;
    bool checksum;
    bool kernel;
    const char *html; /* NULL: no such file, as the next one */
    const char *samples;
    bool json;
};

/* ---- Workloads --------------------------------------------------------- */

static int
make_in_order(struct trace *trace, uint32_t frames, uint64_t *seed)
{
    (void)frames, (void)seed;
    trace_in_order(trace, 1);
    return 0;
}

static int
make_random(struct trace *trace, uint32_t frames, uint64_t *seed)
{
    (void)frames;
    trace_uniform(trace, seed);
    return 0;
}

static int
make_zipf(struct trace *trace, uint32_t frames, uint64_t *seed)
{
    (void)frames;
    return trace_zipf(trace, seed);
}

/* What fits is the rest's, too, where there is hardly more. */
static uint32_t
part_of(const struct trace *trace, uint64_t pages)
{
    return pages < trace->pages ? (uint32_t)pages : (trace->pages + 1) / 2;
}

static int
make_scan(struct trace *trace, uint32_t frames, uint64_t *seed)
{
    trace_scan(trace, part_of(trace, frames * 6ull / 10), seed);
    return 0;
}

static int
make_phases(struct trace *trace, uint32_t frames, uint64_t *seed)
{
    uint32_t window = part_of(trace, frames * 12ull / 10);

    trace_phases(trace, 10, window, (uint32_t)(window * 7ull / 12), seed);
    return 0;
}

static const struct workload {
    const char *name;
    int (*make)(struct trace *trace, uint32_t frames, uint64_t *seed);
    unsigned tenths; /* of the memory, that are accessed */
    bool forks;
} workloads[] = {
    {"sequential", make_in_order, 40, false},
    {"loop", make_in_order, 15, false},
    {"random", make_random, 40, false},
    {"zipf", make_zipf, 40, false},
    {"scan", make_scan, 40, false},
    {"phase", make_phases, 40, false},
    {"fork", make_zipf, 40, true},
    {"trace", NULL, 0, false}, /* read from a file */
};

static const struct workload *
find_workload(const char *name)
{
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
        if (strcmp(name, workloads[i].name) == 0)
            return &workloads[i];
    return NULL;
}

/* ---- Faults ----------------------------------------------------------- */

/* Per 1,000 transfers, where that is what it takes. */
enum fault { ERRORS, SHORT, LATE, GONE, LIES, FULL, FAULTS };

static const char *const fault_names[FAULTS] = {
    [ERRORS] = "errors", [SHORT] = "short", [LATE] = "late",
    [GONE] = "gone",     [LIES] = "lies",   [FULL] = "full",
};

static void
add_fault(struct pressure_faults *faults, enum fault fault)
{
    switch (fault) {
    case ERRORS:
        faults->errors = 20;
        break;
    case SHORT:
        faults->shorts = 20;
        break;
    case LATE:
        faults->late = true;
        break;
    case GONE:
        faults->gone = 2;
        break;
    case LIES:
        faults->lies = 5;
        break;
    default:
        faults->full = true;
    }
}

/* FAULTS: there is none of that name. */
static enum fault
find_fault(const char *name, size_t length)
{
    unsigned i = 0;

    while (i < FAULTS && (strlen(fault_names[i]) != length ||
                          strncmp(name, fault_names[i], length) != 0))
        i++;
    return (enum fault)i;
}

static int
take_faults(void *faults, const char *command)
{
    const char *rest = optarg;

    for (;;) {
        size_t length = strcspn(rest, ",");
        enum fault fault = find_fault(rest, length);
        if (fault == FAULTS)
            return tool_refuse(command,
                               "--faults takes errors, short, late, gone, "
                               "lies, full, not '%.*s'",
                               (int)length, rest);
        add_fault(faults, fault);
        if (rest[length] == '\0')
            return 0;
        rest += length + 1;
    }
}

/* ---- Options ----------------------------------------------------------- */

#define AT(member)    OPTIONS_AT(struct arguments, member)
#define GIVEN(member) OPTIONS_GIVEN(struct arguments, member)

static const struct options_row rows[] = {
    {"memory", OPTIONS_BYTES, AT(memory_bytes), .least = MIB,
     .most = MIB << 16},
    {"pages", OPTIONS_NUMBER, AT(pages), .least = 2, .most = INT32_MAX / 2},
    {"swap", OPTIONS_TEXT, AT(swap)},
    {"threads", OPTIONS_NUMBER, AT(threads), .least = 1,
     .most = PRESSURE_THREADS},
    {"seed", OPTIONS_NUMBER, AT(seed), GIVEN(seed_given), .most = INT64_MAX},
    {"accesses", OPTIONS_NUMBER, AT(accesses), .least = 1,
     .most = ACCESSES_MAX},
    {"faults", OPTIONS_OTHER, AT(faults), GIVEN(can_fail), .take = take_faults},
    {"checksum", OPTIONS_FLAG, AT(checksum)},
    {"kernel", OPTIONS_FLAG, AT(kernel)},
    {"html", OPTIONS_FILE, AT(html)},
    {"samples", OPTIONS_FILE, AT(samples)},
    {"json", OPTIONS_FLAG, AT(json)},
    {.name = NULL},
};

static const struct options_reader reader = {
    .command = COMMAND,
    .rows = rows,
    .has_operands = true,
    .help = {help, help_options},
};

/* OPTIONS_GO_ON, or the exit status. */
static int
take_arguments(struct arguments *arguments, const struct workload **workload,
               int argc, char **argv)
{
    int status;

    *arguments = (struct arguments){
        .memory_bytes = 64 * MIB,
        .threads = 1,
        .seed = 1,
        .swap = "memory",
    };
    status = options_read(&reader, arguments, argc, argv);
    if (status != OPTIONS_GO_ON)
        return status;
    if (optind == argc)
        return tool_refuse(COMMAND,
                           "give a workload; see aspen pressure --help");
    *workload = find_workload(argv[optind]);
    if (!*workload)
        return tool_refuse(COMMAND, "there is no workload '%s'", argv[optind]);
    bool recorded = !(*workload)->make;
    if (recorded && optind + 1 == argc)
        return tool_refuse(COMMAND, "trace takes the name of a file");
    if (recorded)
        arguments->file = argv[++optind];
    if (optind + 1 < argc)
        return tool_refuse(COMMAND, "takes no argument '%s'", argv[optind + 1]);
    if (recorded &&
        (arguments->pages || arguments->accesses || arguments->threads != 1 ||
         arguments->faults.full || strcmp(arguments->swap, "none") == 0))
        return tool_refuse(COMMAND, "trace says itself what is accessed: no "
                                    "--pages, --accesses, --threads, --swap "
                                    "none, --faults full");
    if (recorded && arguments->seed_given && !arguments->can_fail)
        return tool_refuse(COMMAND, "with trace --seed goes with --faults");
    if ((*workload)->forks && strcmp(arguments->swap, "none") == 0)
        return tool_refuse(COMMAND, "what children write of a file can only "
                                    "go to swap: fork needs --swap DEVICE");
    if ((arguments->can_fail || arguments->checksum) &&
        strcmp(arguments->swap, "none") == 0)
        return tool_refuse(COMMAND, "--swap none has no device: no --faults, "
                                    "--checksum");
    if (arguments->kernel &&
        (strcmp(arguments->swap, "none") != 0 || arguments->threads != 1))
        return tool_refuse(COMMAND, "--kernel goes with --swap none, and "
                                    "with one thread");
    return OPTIONS_GO_ON;
}

/* ---- From begin to end ------------------------------------------------ */

static int
make_trace(struct trace *trace, const struct workload *workload,
           const struct arguments *arguments, uint32_t frames,
           struct tool_error *error)
{
    uint64_t seed = arguments->seed;
    uint64_t pages = arguments->pages
                         ? arguments->pages
                         : (uint64_t)frames * workload->tenths / 10;
    uint64_t accesses = arguments->accesses ? arguments->accesses : 4 * pages;

    if (accesses > ACCESSES_MAX)
        accesses = ACCESSES_MAX;
    return trace_begin(trace, accesses, (uint32_t)pages) == 0 &&
                   workload->make(trace, frames, &seed) == 0
               ? 0
               : tool_fail(error, "no memory for the trace");
}

static int
check_targets(const struct arguments *arguments, struct tool_error *error)
{
    if (arguments->html && tool_check_target(arguments->html, error) != 0)
        return -1;
    return arguments->samples ? tool_check_target(arguments->samples, error)
                              : 0;
}

static int
write_files(const char *workload, const struct pressure_plan *plan,
            const struct pressure_result *result,
            const struct arguments *arguments, struct tool_error *error)
{
    if (arguments->html && pressure_picture_write(arguments->html, workload,
                                                  plan, result, error) != 0)
        return -1;
    return arguments->samples
               ? pressure_samples_write(arguments->samples, result, error)
               : 0;
}

static int
report(const char *workload, const struct pressure_plan *plan,
       const struct pressure_result *result, bool json)
{
    bool broken = result->wrong_bytes > 0;

    if (broken)
        fprintf(stderr, "aspen pressure: BROKEN %" PRIu64 " bytes are wrong\n",
                result->wrong_bytes);
    if (result->lost_pages)
        fprintf(stderr,
                "aspen pressure: the device did not give back %" PRIu64
                " pages\n",
                result->lost_pages);
    if (!json)
        pressure_report_text(workload, plan, result);
    else if (pressure_report_json(workload, plan, result) != 0)
        return tool_refuse(COMMAND, "no memory for the result");
    return options_flush(COMMAND, broken               ? EXIT_BROKEN
                                  : result->lost_pages ? EXIT_REFUSED
                                                       : EXIT_HELD);
}

static int
run(const struct workload *workload, const struct arguments *arguments)
{
    static struct recorded recorded;
    struct trace trace = {0};
    struct pressure_plan plan = {
        .trace = arguments->file ? &recorded.trace : &trace,
        .recorded = arguments->file ? &recorded : NULL,
        .frames = (uint32_t)(arguments->memory_bytes / PRESSURE_PAGE),
        .swap = arguments->swap,
        .swap_flags = arguments->checksum ? ASPEN_SWAP_CHECKSUM : 0,
        .faults = arguments->faults,
        .can_fail = arguments->can_fail,
        .threads = (unsigned)arguments->threads,
        .seed = arguments->seed,
        .forks = workload->forks,
    };
    struct pressure_result result = {0};
    struct tool_error error;
    int status = check_targets(arguments, &error);

    if (status == 0)
        status =
            arguments->file
                ? recorded_read(&recorded, arguments->file, &error)
                : make_trace(&trace, workload, arguments, plan.frames, &error);
    if (status == 0)
        status = pressure_run(&plan, &result, &error);
    if (status == 0 && arguments->kernel)
        status = pressure_kernel_run(&plan, &result, &error);
    if (status == 0)
        status = write_files(workload->name, &plan, &result, arguments, &error);
    status = status == 0
                 ? report(workload->name, &plan, &result, arguments->json)
                 : tool_refuse(COMMAND, "%s", error.text);
    pressure_result_free(&result);
    recorded_free(&recorded);
    trace_end(&trace);
    return status;
}

int
main(int argc, char **argv)
{
    struct arguments arguments;
    const struct workload *workload = NULL;
    int status;

    tool_keep_standard();
    status = take_arguments(&arguments, &workload, argc, argv);
    return status == OPTIONS_GO_ON ? run(workload, &arguments) : status;
}
