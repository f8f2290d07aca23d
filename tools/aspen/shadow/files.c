/* SPDX-License-Identifier: MIT */
/*
 * files.c - the files that the guest maps, as objects of the machine.
 *
 * A file is who it is by the device and inode that maps shows. stat shows
 * another device on some file systems (overlayfs, btrfs), so a file has both
 * names, and the second is learnt when it is first mapped.
 *
 * Called by call.c and space.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "shadow/session.h"
#include "snapshot/smaps.h"

#include <aspen/flags.h>
#include <aspen/object.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TMPFS     0x01021994u
#define HUGETLBFS 0x958458f6u
#define PROCFS    0x9fa0u
#define SYSFS     0x62656572u
#define SECRETMEM 0x5345434du

struct name {
    uint64_t device;
    uint64_t inode;
};

struct shadow_files {
    struct file {
        struct name mapped; /* by maps; both 0: not known */
        struct name stat;   /* by stat; both 0: not known */
        struct aspen_object *object;
    } * files;
    size_t count;
    size_t room;
};

/* The first segment of System V's has inode 0. */
static bool
is_known(const struct name *name)
{
    return name->device != 0 || name->inode != 0;
}

static bool
same(const struct name *a, const struct name *b)
{
    return is_known(a) && a->device == b->device && a->inode == b->inode;
}

int
shadow_files_begin(struct shadow_session *session)
{
    session->files = calloc(1, sizeof(*session->files));
    return session->files ? 0 : tool_fail(session->error, "no memory");
}

void
shadow_files_end(struct shadow_session *session)
{
    struct shadow_files *files = session->files;

    if (!files)
        return;
    for (size_t i = 0; i < files->count; i++)
        aspen_object_put(files->files[i].object);
    free(files->files);
    free(files);
    session->files = NULL;
}

static const struct aspen_pager_ops refuses_sync = {
    .open = linux_refuse_sync,
};

/* What an object becomes: as aspen_object_args has them. */
struct what {
    enum aspen_object_kind kind;
    unsigned flags;
    unsigned placement;
    bool refuses_sync;
};

static struct aspen_object *
add_file(struct shadow_session *session, const struct name *mapped,
         const struct name *stat, const struct what *what)
{
    struct shadow_files *files = session->files;
    const struct name *shown = is_known(mapped) ? mapped : stat;
    struct aspen_object_args args = {
        .kind = what->kind,
        .device = shown->device,
        .inode = shown->inode,
        .size_bytes = INT64_MAX & ~(uint64_t)4095,
        .placement = (enum aspen_placement)what->placement,
        .pager = what->refuses_sync ? &refuses_sync : NULL,
        .flags = what->flags,
    };
    struct file file = {.mapped = *mapped, .stat = *stat};
    struct file *list =
        tool_room(files->files, files->count, &files->room, sizeof(file));

    if (!list)
        return NULL;
    files->files = list;
    if (aspen_object_create(session->aspen, &args, &file.object) != 0)
        return NULL;
    files->files[files->count++] = file;
    return file.object;
}

/* ---- A descriptor ------------------------------------------------------- */

/* Flags of open(2); -1: there is no such descriptor. */
static int
flags_of(pid_t tid, int descriptor)
{
    char path[64];
    char line[128];
    unsigned flags;
    int found = -1;
    FILE *info;

    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)tid, descriptor);
    info = fopen(path, "re");
    if (!info)
        return -1;
    while (fgets(line, sizeof(line), info))
        if (sscanf(line, "flags: %o", &flags) == 1)
            found = (int)flags;
    fclose(info);
    return found;
}

static const char *
unmodelled_kind(int file, const struct stat *status, struct statfs *fs)
{
    if (S_ISSOCK(status->st_mode))
        return "mmap of a socket";
    if (fstatfs(file, fs) != 0)
        return "mmap of a strange file";
    switch ((unsigned long)fs->f_type) {
    case HUGETLBFS:
        return "mmap of hugetlbfs";
    case PROCFS:
    case SYSFS:
        return "mmap of /proc or /sys";
    case SECRETMEM:
        return "mmap of secret memory";
    default:
        return S_ISREG(status->st_mode) ? NULL : "mmap of a device";
    }
}

static void
look_at_file(int file, const struct stat *status, struct shadow_open *open)
{
    struct statfs fs;

    open->device =
        (uint64_t)major(status->st_dev) << 32 | (uint64_t)minor(status->st_dev);
    open->inode = status->st_ino;
    open->file.executable = host_file_executes(file);
    open->file.unmappable =
        S_ISDIR(status->st_mode) || S_ISFIFO(status->st_mode);
    if (open->file.unmappable)
        return;
    open->unmodelled = unmodelled_kind(file, status, &fs);
    if (open->unmodelled)
        return;
    open->shmem = fs.f_type == (long)TMPFS;
    open->file.refuses_sync = host_file_refuses_sync(file);
    open->unlinked = status->st_nlink == 0;
    open->placement = host_file_placement(file);
}

void
shadow_files_look(pid_t tid, int descriptor, struct shadow_open *open_file)
{
    int flags = flags_of(tid, descriptor);
    char path[64];
    struct stat status;
    int file;

    memset(open_file, 0, sizeof(*open_file));
    open_file->error = -EBADF;
    if (flags < 0 || (flags & O_PATH))
        return;
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, descriptor);
    file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0)
        return;
    open_file->error = fstat(file, &status) != 0 ? -EBADF : 0;
    open_file->file.readable = (flags & O_ACCMODE) != O_WRONLY;
    open_file->file.writable = (flags & O_ACCMODE) != O_RDONLY;
    if (open_file->error == 0)
        look_at_file(file, &status, open_file);
    open_file->file.sealed = open_file->shmem && host_file_is_sealed(path);
    if (open_file->file.sealed && !host_seals_as_now())
        open_file->unmodelled = "mmap of a sealed memfd";
    close(file);
}

/* ---- What the kernel calls it ------------------------------------------- */

static struct file *
find_mapped(const struct shadow_files *files, const struct name *mapped)
{
    for (size_t i = 0; i < files->count; i++)
        if (same(&files->files[i].mapped, mapped))
            return &files->files[i];
    return NULL;
}

static struct name
name_of(pid_t tid, uint64_t address)
{
    struct areas areas = {0};
    struct tool_error error;
    struct name name = {0, 0};
    const struct area *area;

    if (areas_of_host(&areas, AREAS_MAPS, tid, &error) == 0 &&
        (area = areas_at(&areas, address)) != NULL)
        name = (struct name){area->device, area->inode};
    areas_free(&areas);
    return name;
}

bool
shadow_files_is_segment(pid_t tid, uint64_t address)
{
    struct areas areas = {0};
    struct tool_error error;
    const struct area *area;
    bool is = areas_of_host(&areas, AREAS_MAPS, tid, &error) == 0 &&
              (area = areas_at(&areas, address)) != NULL && area->segment;

    areas_free(&areas);
    return is;
}

/* `path` leads to the file; true: that is enough. */
typedef bool visit_area(void *context, const struct area *area,
                        const char *path);

static bool
is_of(const char *path, const struct name *name)
{
    struct stat status;
    struct name found;

    if (stat(path, &status) != 0)
        return false;
    found.device =
        (uint64_t)major(status.st_dev) << 32 | (uint64_t)minor(status.st_dev);
    found.inode = status.st_ino;
    return same(&found, name);
}

/* A path to what an area maps: by the area, which takes privilege, or by a
 * descriptor of the task's. False: there is none. */
static bool
path_of(pid_t tid, const struct area *area, char *path, size_t size)
{
    const struct name name = {area->device, area->inode};
    const struct dirent *entry;
    struct stat status;
    char folder[32];
    bool found = false;

    snprintf(path, size, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)tid,
             area->start, area->end);
    if (stat(path, &status) == 0)
        return true;
    snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)tid);
    DIR *descriptors = opendir(folder);
    while (descriptors && !found && (entry = readdir(descriptors)) != NULL) {
        snprintf(path, size, "%s/%.16s", folder, entry->d_name);
        found = is_of(path, &name);
    }
    if (descriptors)
        closedir(descriptors);
    return found;
}

/* Mappings of files in the range, until one is enough; the path is NULL where
 * there is none. */
static bool
any_area(pid_t tid, uint64_t address, uint64_t bytes, visit_area *visit,
         void *context)
{
    struct areas areas = {0};
    struct tool_error error;
    char path[96];
    bool found = false;

    if (areas_of_host(&areas, AREAS_MAPS, tid, &error) != 0)
        areas.count = 0;
    for (size_t i = 0; i < areas.count && !found; i++) {
        const struct area *area = &areas.list[i];
        if (area->end <= address || area->start >= address + bytes ||
            (area->device == 0 && area->inode == 0))
            continue;
        found = visit(context, area,
                      path_of(tid, area, path, sizeof(path)) ? path : NULL);
    }
    areas_free(&areas);
    return found;
}

static bool
is_sealed(void *context, const struct area *area, const char *path)
{
    (void)context;
    (void)area;
    return path && host_file_is_sealed(path);
}

static bool
is_secret(void *context, const struct area *area, const char *path)
{
    struct statfs fs;
    (void)context;
    (void)area;

    return path && statfs(path, &fs) == 0 && fs.f_type == SECRETMEM;
}

bool
shadow_files_are_sealed(pid_t tid, uint64_t address, uint64_t bytes)
{
    return any_area(tid, address, bytes, is_sealed, NULL);
}

bool
shadow_files_are_secret(pid_t tid, uint64_t address, uint64_t bytes)
{
    return any_area(tid, address, bytes, is_secret, NULL);
}

static bool
is_drivers(void *context, const struct area *area, const char *path)
{
    struct stat status;
    (void)context;

    if (!path)
        return area->nowhere;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode) &&
           !(S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 5));
}

/* /dev/zero is no driver's. */
bool
shadow_files_are_drivers(pid_t tid, uint64_t address, uint64_t bytes)
{
    return any_area(tid, address, bytes, is_drivers, NULL);
}

static bool
note_size(void *context, const struct area *area, const char *path)
{
    const struct name mapped = {area->device, area->inode};
    const struct file *known = find_mapped(context, &mapped);
    struct stat status;

    /* What cannot have another size stays as it is. */
    if (known && path && stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
        aspen_object_size(known->object) != (uint64_t)status.st_size)
        (void)!aspen_object_resize(known->object, (uint64_t)status.st_size);
    return false;
}

void
shadow_files_note_sizes(struct shadow_session *session, pid_t tid,
                        uint64_t address, uint64_t bytes)
{
    (void)any_area(tid, address, bytes, note_size, session->files);
}

struct aspen_object *
shadow_files_object(struct shadow_session *session, pid_t tid,
                    const struct shadow_open *open, int64_t address)
{
    struct shadow_files *files = session->files;
    struct name stat = {open->device, open->inode};
    struct name mapped = {0, 0};

    for (size_t i = 0; i < files->count; i++)
        if (same(&files->files[i].stat, &stat) &&
            (is_known(&files->files[i].mapped) || address <= 0))
            return files->files[i].object;
    if (address > 0)
        mapped = name_of(tid, (uint64_t)address);
    struct file *known = is_known(&mapped) ? find_mapped(files, &mapped) : NULL;
    if (known) {
        known->stat = stat;
        return known->object;
    }
    return add_file(
        session, &mapped, &stat,
        &(struct what){
            .kind = open->shmem ? ASPEN_OBJECT_SHMEM : ASPEN_OBJECT_FILE,
            .flags = open->shmem && open->unlinked ? ASPEN_OBJECT_ANONYMOUS : 0,
            .placement = open->placement,
            .refuses_sync = open->file.refuses_sync,
        });
}

/* ---- An area ------------------------------------------------------------ */

/* What its file system says of it. */
static void
ask_file_system(pid_t tid, const struct smaps_area *area, struct what *what)
{
    char path[96];
    int file;

    snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
             (int)tid, area->start, area->end);
    file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0)
        file = open(area->path, O_PATH | O_CLOEXEC);
    if (file < 0)
        return;
    what->placement = host_file_placement(file);
    what->refuses_sync = host_file_refuses_sync(file);
    close(file);
}

bool
shadow_files_is_zeroes(const struct smaps_area *area)
{
    return strcmp(area->path, "/dev/zero") == 0;
}

struct aspen_object *
shadow_files_mapped(struct shadow_session *session, pid_t tid,
                    const struct smaps_area *area, uint64_t flags)
{
    struct name mapped = {area->device, area->inode};
    struct name none = {0, 0};
    const struct file *known = find_mapped(session->files, &mapped);
    struct what what = {.kind = ASPEN_OBJECT_FILE,
                        .placement = ASPEN_PLACEMENT_PLAIN};

    if (known)
        return known->object;
    if (flags & ASPEN_VM_HUGETLB)
        what.kind = ASPEN_OBJECT_HUGETLB;
    else if (flags & ASPEN_VM_PFNMAP)
        what.kind = ASPEN_OBJECT_DEVICE;
    else if (areas_is_segment(area->path))
        what.flags = ASPEN_OBJECT_MOVES_ALONE;
    ask_file_system(tid, area, &what);
    if (shadow_files_is_zeroes(area)) {
        what.flags = ASPEN_OBJECT_ZEROES;
        what.refuses_sync = false;
    }
    return add_file(session, &mapped, &none, &what);
}
