/* What is kept between processes: a program as the driver compiled it, whether the device computes
   right, and tuned work-groups. One file per model and device.
 *
 * A file is replaced as a whole (written beside, then renamed), so processes may share a folder.
 * One that is damaged, or of another driver, counts as none. */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FORMAT = 1, MOST_BYTES = 1 << 30, SUFFIX_BYTES = 64 };

typedef struct header {
    uint64_t checksum; /* of all that follows */
    uint64_t key;
    uint64_t bytes; /* of the file */
    uint32_t verdict, tuned, launch_count, binary_bytes;
} header; /* then launch_count groups, then the binary */

typedef uint32_t group[3];

static const uint64_t BASIS = UINT64_C(14695981039346656037);

static uint64_t hash(uint64_t seed, const void *data, size_t bytes) /* FNV-1a, begun by BASIS */
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++)
        seed = (seed ^ byte[i]) * UINT64_C(1099511628211);
    return seed;
}

static uint64_t checksum(const header *file)
{
    const size_t skipped = sizeof file->checksum;
    return hash(BASIS, (const char *)file + skipped, (size_t)file->bytes - skipped);
}

/* Differs for another source, device, driver, or other launches. */
static uint64_t cache_key(const penjing_session *s)
{
    const device *d = &s->device;
    const char *texts[] = {s->model->name, d->name, d->version, d->driver, d->platform};
    const uint64_t numbers[] = {FORMAT, s->model->hash, sizeof(void *), s->model->weights_bytes,
                                s->model->arena_bytes};
    uint64_t key = hash(BASIS, numbers, sizeof numbers);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        key = hash(key, texts[i], strlen(texts[i]) + 1);
    for (uint32_t i = 0; i < s->model->launch_count; i++)
        key = hash(key, s->model->launches[i].items, sizeof s->model->launches[i].items);
    return key;
}

/* FOLDER/MODEL-KEY.bin, to be freed. */
static char *cache_path(const char *folder, const char *model, uint64_t key)
{
    size_t bytes = strlen(folder) + strlen(model) + SUFFIX_BYTES;
    char *path = malloc(bytes);
    if (path != NULL)
        snprintf(path, bytes, "%s/%s-%016llx.bin", folder, model, (unsigned long long)key);
    return path;
}

/* All of a file, to be freed; NULL if it cannot be read. */
static void *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    void *data = size > 0 && size < MOST_BYTES ? malloc((size_t)size) : NULL;
    *bytes = data == NULL ? 0 : (size_t)size;
    if (data != NULL && (fseek(file, 0, SEEK_SET) != 0 || fread(data, 1, *bytes, file) != *bytes)) {
        free(data);
        data = NULL;
    }
    fclose(file);
    return data;
}

static int is_whole(const penjing_session *s, const header *file, size_t bytes)
{
    return bytes >= sizeof *file && file->bytes == bytes && file->checksum == checksum(file) &&
           file->key == s->cache_key && file->launch_count == s->model->launch_count &&
           bytes == sizeof *file + file->launch_count * sizeof(group) + file->binary_bytes;
}

static int use(record *record, const header *file)
{
    const group *groups = (const group *)(file + 1);
    const unsigned char *binary = (const unsigned char *)(groups + file->launch_count);
    record->groups = malloc(file->launch_count * sizeof(group) + 1);
    record->binary = malloc((size_t)file->binary_bytes + 1);
    if (record->groups == NULL || record->binary == NULL)
        return 0;
    memcpy(record->groups, groups, file->launch_count * sizeof(group));
    memcpy(record->binary, binary, file->binary_bytes);
    record->binary_bytes = file->binary_bytes;
    record->verdict = file->verdict;
    record->tuned = file->tuned;
    return 1;
}

/* Fill the session's record with what the cache knows; leave it empty if that is nothing. */
void read_cache(penjing_session *s)
{
    size_t bytes = 0;
    if (s->config.cache_folder == NULL)
        return;
    s->cache_key = cache_key(s);
    s->cache_path = cache_path(s->config.cache_folder, s->model->name, s->cache_key);
    header *file = s->cache_path == NULL ? NULL : read_file(s->cache_path, &bytes);
    if (file != NULL && is_whole(s, file, bytes) && !use(&s->record, file))
        forget_record(s);
    free(file);
}

/* Free what was read, which is of no use once the program is ready. */
void forget_record(penjing_session *s)
{
    free(s->record.groups);
    free(s->record.binary);
    s->record.groups = NULL;
    s->record.binary = NULL;
    s->record.binary_bytes = 0;
}

/* What the session knows as a file's content, to be freed. */
static header *make_file(penjing_session *s)
{
    size_t binary_bytes = 0;
    uint32_t launches = s->model->launch_count;
    unsigned char *binary = s->record.verdict == REFUTED ? NULL : copy_binary(s, &binary_bytes);
    size_t bytes = sizeof(header) + launches * sizeof(group) + binary_bytes;
    header *file = bytes < MOST_BYTES ? calloc(bytes, 1) : NULL;
    if (file != NULL) {
        group *groups = (group *)(file + 1);
        for (uint32_t i = 0; i < launches; i++)
            memcpy(groups[i], s->steps[i].group, sizeof(group));
        if (binary != NULL)
            memcpy(groups + launches, binary, binary_bytes);
        file->key = s->cache_key;
        file->bytes = bytes;
        file->verdict = s->record.verdict;
        file->tuned = s->record.tuned;
        file->launch_count = launches;
        file->binary_bytes = (uint32_t)binary_bytes;
        file->checksum = checksum(file);
    }
    free(binary);
    return file;
}

/* Write a file beside the one that it then replaces; processes and threads use different names. */
static int replace(const char *path, const header *content)
{
    static unsigned writes;
    size_t bytes = strlen(path) + SUFFIX_BYTES;
    char *beside = malloc(bytes);
    if (beside == NULL)
        return 0;
    snprintf(beside, bytes, "%s.%ld.%u", path, (long)getpid(),
             __atomic_fetch_add(&writes, 1, __ATOMIC_RELAXED));
    FILE *file = fopen(beside, "wb");
    int done = file != NULL && fwrite(content, 1, (size_t)content->bytes, file) == content->bytes;
    if (file != NULL && fclose(file) != 0)
        done = 0;
    if (done && rename(beside, path) != 0)
        done = 0;
    if (!done)
        remove(beside);
    free(beside);
    return done;
}

/* Keep what the session knows. A cache that cannot be written is worth a message, not a failure. */
void write_cache(penjing_session *s)
{
    header *content = s->cache_path == NULL ? NULL : make_file(s);
    if (content != NULL && !replace(s->cache_path, content) && s->message.text[0] == '\0')
        fail(&s->message, PENJING_OK, "cannot write %s", s->cache_path);
    free(content);
}
