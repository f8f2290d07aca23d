/* SPDX-License-Identifier: MIT */
/*
 * programs.c - finding the programs that scenarios are in, and running them.
 *
 * tests/tools/explore.sh breaks first.
 */
#define _GNU_SOURCE
#include "explore/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX  "test_"
#define CRASHED 3 /* exit status: serve.c has said which scenario */
#define ANSWERS 3 /* the descriptor */

/* ---- Where they are ------------------------------------------------------ */

static int
is_program(const struct dirent *entry)
{
    const char *dot = strchr(entry->d_name, '.');

    return !dot && strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0;
}

static int
programs_of(const char *folder, struct dirent ***programs)
{
    return scandir(folder, programs, is_program, alphasort);
}

static void
free_programs(struct dirent **programs, int count)
{
    while (count-- > 0)
        free(programs[count]);
    free(programs);
}

static bool
has_programs(const char *folder)
{
    struct dirent **programs;
    int count = programs_of(folder, &programs);

    if (count >= 0)
        free_programs(programs, count);
    return count > 0;
}

int
explore_find_programs(const char *given, char *folder, size_t size)
{
    static const char *const places[] = {"tests/explore", "../tests/explore",
                                         "../libexec/aspen/explore"};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = length > 0 ? memrchr(self, '/', (size_t)length) : NULL;

    if (given) {
        snprintf(folder, size, "%s", given);
        return has_programs(given)
                   ? 0
                   : tool_refuse(EXPLORE_COMMAND,
                                 "there is no program " PREFIX "* in %s",
                                 given);
    }
    if (slash == NULL)
        return tool_refuse(EXPLORE_COMMAND,
                           "cannot tell where this program is");
    *slash = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(folder, size, "%s/%s", self, places[i]);
        if (has_programs(folder))
            return 0;
    }
    return tool_refuse(EXPLORE_COMMAND,
                       "there are no scenarios in %s/tests/explore; build them "
                       "with `make explore-programs`, or name their folder by "
                       "--programs",
                       self);
}

/* ---- Running one --------------------------------------------------------- */

struct child {
    char path[PATH_MAX + NAME_MAX + 2];
    const char *name; /* of the program */
    pid_t pid;
    FILE *answers;
    FILE *said; /* by the program, to whoever looks at it */
};

static _Noreturn void
become(const struct child *child, int answers, const char *words,
       const char *only, const char *schedule)
{
    char asked[380];

    snprintf(asked, sizeof(asked), "%d %s", ANSWERS, words);
    if (dup2(fileno(child->said), STDOUT_FILENO) < 0 ||
        dup2(STDOUT_FILENO, STDERR_FILENO) < 0 ||
        (answers != ANSWERS && dup2(answers, ANSWERS) < 0))
        _exit(127);
    if (answers == ANSWERS)
        fcntl(ANSWERS, F_SETFD, 0);
    setenv("ASPEN_EXPLORE", asked, 1);
    unsetenv("ASPEN_EXPLORE_ONLY");
    unsetenv("ASPEN_EXPLORE_SCHEDULE");
    unsetenv("SIM_SCHEDULE");
    if (only)
        setenv("ASPEN_EXPLORE_ONLY", only, 1);
    if (schedule)
        setenv("ASPEN_EXPLORE_SCHEDULE", schedule, 1);
    execl(child->path, child->name, (char *)NULL);
    dprintf(STDERR_FILENO, "%s\n", strerror(errno));
    _exit(127);
}

static int
start(struct child *child, const char *words, const char *only,
      const char *schedule)
{
    int ends[2];

    child->said = tmpfile();
    if (!child->said || pipe2(ends, O_CLOEXEC) != 0)
        return tool_refuse(EXPLORE_COMMAND, "cannot run %s: %s", child->path,
                           strerror(errno));
    fflush(NULL);
    child->pid = fork();
    if (child->pid == 0)
        become(child, ends[1], words, only, schedule);
    close(ends[1]);
    child->answers = child->pid > 0 ? fdopen(ends[0], "r") : NULL;
    if (!child->answers)
        return tool_refuse(EXPLORE_COMMAND, "cannot run %s: %s", child->path,
                           strerror(errno));
    return 0;
}

static void
last_line(FILE *said, char *line, size_t size)
{
    char read[512];

    line[0] = '\0';
    rewind(said);
    while (fgets(read, sizeof(read), said))
        if (strcspn(read, "\n"))
            snprintf(line, size, "%.*s", (int)strcspn(read, "\n"), read);
}

/* What it came to: 0, CRASHED, or EXIT_REFUSED. */
static int
finish(struct child *child, bool understood)
{
    char line[512];
    int status;

    fclose(child->answers);
    if (waitpid(child->pid, &status, 0) < 0)
        status = -1;
    last_line(child->said, line, sizeof(line));
    fclose(child->said);
    if (!understood)
        return tool_refuse(EXPLORE_COMMAND, "%s answers what is no JSON",
                           child->path);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == CRASHED)
        return CRASHED;
    return tool_refuse(EXPLORE_COMMAND,
                       "%s has failed outside of a scenario: %s", child->path,
                       line);
}

/* `results` are counted. */
static int
hear_all(struct child *child, explore_hearer *hear, void *context,
         uint64_t *results)
{
    char *line = NULL;
    size_t room = 0;
    bool understood = true;
    int status = 0;

    while (status == 0 && getline(&line, &room, child->answers) > 0) {
        json_t *object = json_loads(line, 0, NULL);
        understood = understood && json_is_object(object);
        *results += json_object_get(object, "result") != NULL;
        if (understood)
            status = hear(context, object);
        json_decref(object);
    }
    free(line);
    if (status)
        kill(child->pid, SIGTERM);
    int ended = finish(child, understood || status);
    return status ? status : ended;
}

/* Those that see plain memory are in a folder of their own, by the same names.
 */
static void
write_path(char *path, size_t size, const struct explore_call *call)
{
    snprintf(path, size, "%s%s/" PREFIX "%.*s", call->folder,
             call->sees ? "/memory" : "",
             (int)(strchrnul(call->name, '/') - call->name), call->name);
}

bool
explore_sees(const char *folder, const char *name)
{
    const struct explore_call call = {
        .folder = folder, .name = name, .sees = true};
    char path[PATH_MAX + NAME_MAX + 2];

    write_path(path, sizeof(path), &call);
    return access(path, X_OK) == 0;
}

int
explore_run(const struct explore_call *call, explore_hearer *hear,
            void *context)
{
    struct child child;
    const char *only = *strchrnul(call->name, '/') ? call->name : NULL;
    uint64_t skip = 0;
    char asked[360];
    int status;

    write_path(child.path, sizeof(child.path), call);
    child.name = strrchr(child.path, '/') + 1;
    do { /* behind a scenario that ended it, until it has had all */
        snprintf(asked, sizeof(asked), "%s skip=%llu", call->words,
                 (unsigned long long)skip);
        status = start(&child, asked, only, call->schedule);
        if (status == 0)
            status = hear_all(&child, hear, context, &skip);
    } while (status == CRASHED && !call->schedule);
    return status == CRASHED ? 0 : status;
}

/* ---- The registry -------------------------------------------------------- */

static int
hear_name(void *names, json_t *line)
{
    json_t *name = json_object_get(line, "name");

    if (json_is_string(name))
        json_array_append(names, name);
    return 0;
}

static int
refuse_doubles(json_t *names)
{
    json_t *seen = json_object();
    json_t *name;
    size_t i;
    int status = 0;

    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        if (status == 0 && json_object_get(seen, text))
            status = tool_refuse(EXPLORE_COMMAND,
                                 "two scenarios have the name %s", text);
        json_object_set_new(seen, text, json_true());
    }
    json_decref(seen);
    return status;
}

int
explore_list(const char *folder, json_t **names)
{
    struct dirent **programs;
    int count = programs_of(folder, &programs);
    int status = 0;

    *names = json_array();
    for (int i = 0; i < count && status == 0; i++)
        status = explore_run(
            &(struct explore_call){.folder = folder,
                                   .name = programs[i]->d_name + strlen(PREFIX),
                                   .words = "list"},
            hear_name, *names);
    if (count >= 0)
        free_programs(programs, count);
    return status ? status : refuse_doubles(*names);
}
