/* SPDX-License-Identifier: MIT */
#include "keyed.h"

#include "space/pkeys.h"
#include "space/vma.h"

uint32_t
keyed_rights(void *context, const struct aspen_mm *mm)
{
    struct keyed *k = context;

    (void)mm;
    k->asked++;
    return k->rights;
}

static void
thread_rights_set(void *context, const struct aspen_mm *mm, uint32_t rights)
{
    struct keyed *k = context;

    (void)mm;
    k->rights = rights;
}

int
keyed_create(void **state, enum aspen_execute_only execute_only, unsigned pkeys,
             bool hooks)
{
    struct keyed *k = test_calloc(1, sizeof(*k));
    struct aspen_config config;

    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    config.pkeys = pkeys;
    config.execute_only = execute_only;
    k->arch.rights = keyed_rights;
    k->arch.rights_set = thread_rights_set;
    k->rights = ASPEN_RIGHTS_START;
    if (hooks) {
        config.hooks.arch = &k->arch;
        config.hooks.context = k;
    }
    helper_space_create(&k->s, &config);
    *state = k;
    return 0;
}

int
keyed_setup(void **state)
{
    return keyed_create(state, ASPEN_EXECUTE_ONLY_KEY, ASPEN_PKEYS_MAX, true);
}

int
keyed_setup_without_hooks(void **state)
{
    return keyed_create(state, ASPEN_EXECUTE_ONLY_KEY, ASPEN_PKEYS_MAX, false);
}

int
keyed_setup_without_keys(void **state)
{
    return keyed_create(state, ASPEN_EXECUTE_ONLY_NONE, 0, false);
}

int
keyed_teardown(void **state)
{
    struct keyed *k = *state;

    helper_space_destroy(&k->s);
    test_free(k);
    return 0;
}

int
key_of(struct keyed *k, uint64_t page)
{
    const struct aspen_vma *vma = aspen_vma_at(k->s.mm, AT(page));

    assert_non_null(vma);
    return (int)aspen_pkey_of(vma->flags);
}

int
keyed_alloc(struct keyed *k, unsigned denied)
{
    int pkey = -1;
    int error = aspen_pkey_alloc(k->s.mm, denied, &pkey);

    return error ? error : pkey;
}

int
keyed_protect(struct keyed *k, uint64_t page, uint64_t access, int pkey)
{
    return aspen_mprotect(k->s.mm, AT(page), PAGE, access, pkey);
}

int
keyed_touch(struct keyed *k, uint64_t page, unsigned access)
{
    uint32_t frame;

    return helper_access(k->s.mm, AT(page), access, &frame);
}

uint32_t
given_out(struct aspen_mm *mm)
{
    struct aspen_pkeys pkeys;

    aspen_pkeys_read(mm, &pkeys);
    return pkeys.given_out;
}

int
own_key(struct aspen_mm *mm)
{
    struct aspen_pkeys pkeys;

    aspen_pkeys_read(mm, &pkeys);
    return pkeys.execute_only_key;
}
