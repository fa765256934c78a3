/* Work-groups: how many work-items of a launch run together. */
#include "state.h"

#include <string.h>

/* Items of a group that nobody has tuned: as many as run in step on most GPUs, side by side. */
enum { USUAL_ITEMS = 64, USUAL_WIDTH = 32 };

static size_t count_items(const uint32_t group[3])
{
    return (size_t)group[0] * group[1] * group[2];
}

static int fits(const penjing_session *s, size_t limit, const uint32_t group[3])
{
    if (count_items(group) == 0 || count_items(group) > limit)
        return 0;
    for (int d = 0; d < 3; d++)
        if (s->device.item_limits[d] != 0 && group[d] > s->device.item_limits[d])
            return 0;
    return 1;
}

/* Whether the device takes this group for a launch. */
int group_fits(const penjing_session *s, uint32_t launch, const uint32_t group[3])
{
    return fits(s, s->steps[launch].group_limit, group);
}

/* The smallest power of two that is at least `items`, but at most `limit`. */
static uint32_t round_up(uint32_t items, uint32_t limit)
{
    uint32_t power = 1;
    while (power < items && 2 * power <= limit)
        power *= 2;
    return power;
}

static void choose_usual(const penjing_session *s, uint32_t launch, uint32_t group[3])
{
    const uint32_t *items = s->model->launches[launch].items;
    group[0] = round_up(items[0], USUAL_WIDTH);
    group[1] = round_up(items[1], USUAL_ITEMS / group[0]);
    group[2] = round_up(items[2], USUAL_ITEMS / group[0] / group[1]);
    group[0] = round_up(items[0], USUAL_ITEMS / group[1] / group[2]); /* where these are small */
    for (int d = 2; d >= 0 && !group_fits(s, launch, group); d--)
        group[d] = 1;
}

/* Needed groups are held against the device's limit only: some drivers understate that of a kernel,
   and a launch that is refused tells the truth. */
static int choose_needed(penjing_session *s, uint32_t launch, uint32_t group[3])
{
    const uint32_t *needed = s->model->launches[launch].group;
    if (!fits(s, s->device.group_limit, needed))
        return fail(&s->message, PENJING_UNSUPPORTED, "%s needs groups of %zu items, %s has %zu",
                    s->model->launches[launch].function, count_items(needed), s->device.name,
                    s->device.group_limit);
    memcpy(group, needed, sizeof s->steps[launch].group);
    return PENJING_OK;
}

/* The group that a launch needs, or one that was tuned before, or a usual one. CPUs choose by
   themselves: their work-items run in loops, and whole groups are what their cores share out. */
int choose_group(penjing_session *s, uint32_t launch)
{
    uint32_t *group = s->steps[launch].group;
    if (s->model->launches[launch].group[0] != 0)
        return choose_needed(s, launch, group);
    if (s->record.tuned && s->record.groups != NULL)
        memcpy(group, s->record.groups[launch], sizeof s->steps[launch].group);
    else if ((s->device.type & CL_DEVICE_TYPE_CPU) == 0)
        choose_usual(s, launch, group);
    return PENJING_OK;
}
