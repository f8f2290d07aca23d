/* SPDX-License-Identifier: MIT */
/*
 * From C++17: a machine, its spaces and its RAM belong to objects, which give
 * them back in the order that Aspen asks for, whatever is thrown meanwhile. The
 * parent writes, forks, and both write again; then memory runs out in a fork,
 * and the exception leaves nothing behind.
 */
#include <aspen/aspen.h>
#include <aspen_posix.h>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <vector>

namespace
{
constexpr uint32_t frames = 256;
constexpr uint64_t page = 4096;

class error : public std::exception
{
  public:
    explicit error(int number) : number_(number)
    {
    }
    const char *what() const noexcept override
    {
        return aspen_error_name(number_);
    }

  private:
    int number_;
};

void
must(int number)
{
    if (number)
        throw error(number);
}

struct ram_gone {
    void operator()(void *memory) const
    {
        aspen_posix_direct_map_destroy(memory, frames);
    }
};

/* Members go in the opposite order: the machine first, then its RAM. */
struct machine_gone {
    void operator()(aspen *machine) const
    {
        if (int number = aspen_destroy(machine)) /* a space outlived it */
            std::fprintf(stderr, "%s\n", aspen_error_name(number));
    }
};

class machine
{
  public:
    machine() : ram_(aspen_posix_direct_map_create(frames))
    {
        aspen_config config;
        aspen *made = nullptr;

        if (!ram_)
            throw std::bad_alloc();
        aspen_config_init(&config);
        config.frames = frames;
        config.direct_map = ram_.get();
        must(aspen_create(&config, &made));
        machine_.reset(made);
    }
    aspen *get() const
    {
        return machine_.get();
    }
    aspen_counters counters() const
    {
        aspen_counters all;

        aspen_counters_read(machine_.get(), &all);
        return all;
    }

  private:
    std::unique_ptr<void, ram_gone> ram_;
    std::unique_ptr<aspen, machine_gone> machine_;
};

/* One user of an address space. */
class space
{
  public:
    explicit space(const machine &in)
    {
        aspen_mm *made = nullptr;

        must(aspen_mm_create(in.get(), &made));
        mm_.reset(made);
    }
    space fork() const
    {
        aspen_mm *child = nullptr;

        must(aspen_fork(mm_.get(), &child));
        return space(child);
    }
    uint64_t map(uint64_t bytes, uint64_t vm_flags) const
    {
        aspen_mmap_args args = {};
        uint64_t address = 0;

        args.length_bytes = bytes;
        args.vm_flags = vm_flags;
        must(aspen_mmap(mm_.get(), &args, &address));
        return address;
    }
    template <typename T> void store(uint64_t address, T value) const
    {
        uint64_t done;

        must(aspen_write_memory(mm_.get(), address, &value, sizeof(value), 0,
                                &done));
    }
    template <typename T> T load(uint64_t address) const
    {
        uint64_t done;
        T value;

        must(aspen_read_memory(mm_.get(), address, &value, sizeof(value), 0,
                               &done));
        return value;
    }

  private:
    explicit space(aspen_mm *mm) : mm_(mm)
    {
    }
    struct user_leaves {
        void operator()(aspen_mm *mm) const
        {
            aspen_mm_put(mm);
        }
    };
    std::unique_ptr<aspen_mm, user_leaves> mm_;
};

/* Children until one cannot be had. */
std::size_t
fork_until_full(const space &parent)
{
    std::vector<space> children;

    try {
        for (;;)
            children.push_back(parent.fork());
    } catch (const error &full) {
        std::printf("a fork failed with %s\n", full.what());
    }
    return children.size();
}
} // namespace

int
main()
try {
    machine here;
    space parent(here);
    const uint64_t at = parent.map(4 * page, ASPEN_VM_READ | ASPEN_VM_WRITE);

    parent.store(at, 'p');
    {
        space child = parent.fork();

        child.store(at, 'c');
        std::printf("parent %c, child %c\n", parent.load<char>(at),
                    child.load<char>(at));
    }
    const aspen_counters before = here.counters();
    const bool some = fork_until_full(parent) > 1;
    const aspen_counters after = here.counters();
    std::printf("%s children before it, %u space left, %s\n",
                some ? "several" : "no", static_cast<unsigned>(after.mms),
                before.vmas == after.vmas &&
                        before.anon_pages == after.anon_pages
                    ? "as before"
                    : "not as before");
    return some && after.mms == 1 && parent.load<char>(at) == 'p' ? 0 : 1;
} catch (const std::exception &wrong) {
    std::fprintf(stderr, "%s\n", wrong.what());
    return 1;
}
