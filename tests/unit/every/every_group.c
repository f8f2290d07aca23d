/* SPDX-License-Identifier: MIT */
#include "every_group.h"

int
run_group_create(struct every *e, const struct call *call)
{
    struct aspen_group *group = NULL;
    (void)call;

    int error = aspen_group_create(e->helper.aspen, NULL, &group);
    if (error)
        assert_null(group);
    else
        aspen_group_put(group);
    return error;
}

int
run_group_limit_set(struct every *e, const struct call *call)
{
    struct aspen_group *group;

    int error = aspen_group_create(e->helper.aspen, NULL, &group);
    if (error)
        return error;
    error = aspen_group_limit_set(group, ASPEN_GROUP_MAX, 9);
    assert_int_equal(aspen_group_limit(group, ASPEN_GROUP_MAX), error ? 0 : 9);
    aspen_group_put(group);
    (void)call;
    return error;
}

/* A new space, which is the group's last handle. */
int
run_group_enter(struct every *e, const struct call *call)
{
    struct aspen_group *group;
    struct aspen_mm *mm;
    (void)call;

    int error = aspen_group_create(e->helper.aspen, NULL, &group);
    if (error)
        return error;
    error = aspen_mm_create(e->helper.aspen, &mm);
    if (!error) {
        error = aspen_group_enter(mm, group);
        aspen_mm_put(mm);
    }
    aspen_group_put(group);
    return error;
}
