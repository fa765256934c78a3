/* Finds the OpenCL library of the machine and its functions. */
#include "state.h"

#include <dlfcn.h>
#include <string.h>

/* Apps on Android reach a vendor's library by its name only, and only if their manifest asks for it
   (uses-native-library); programs outside of apps also by its path. */
static const char *const NAMES[] = {
    "libOpenCL.so",
    "libOpenCL.so.1",
    "libOpenCL-pixel.so",
    "libOpenCL-car.so",
    "libGLES_mali.so",
    "libmali.so",
    "libmali.so.1",
    "libPVROCL.so",
    "/vendor/lib64/libOpenCL.so",
    "/system/vendor/lib64/libOpenCL.so",
    "/system/lib64/libOpenCL.so",
    "/vendor/lib64/egl/libGLES_mali.so",
    "/system/vendor/lib64/egl/libGLES_mali.so",
    "/vendor/lib64/libPVROCL.so",
};

#define NAME_AND_PLACE(result, name, parameters) {#name, offsetof(opencl, name)},
static const struct {
    const char *name;
    size_t place; /* of its pointer in struct opencl */
} FUNCTIONS[] = {OPENCL_FUNCTIONS(NAME_AND_PLACE)};

typedef void (*enable)(void);
typedef void *(*find)(const char *name);

/* libOpenCL-pixel.so exports no functions of OpenCL but one that finds them, after it was told. */
static find finder_of(void *library)
{
    enable enable_opencl;
    find finder;
    void *symbol = dlsym(library, "enableOpenCL");
    if (symbol == NULL)
        return NULL;
    memcpy(&enable_opencl, &symbol, sizeof symbol);
    enable_opencl();
    symbol = dlsym(library, "loadOpenCLPointer");
    memcpy(&finder, &symbol, sizeof symbol);
    return finder;
}

/* The name of a function that the library lacks, or NULL if it has all. */
static const char *find_functions(void *library, opencl *cl)
{
    find finder = finder_of(library);
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof FUNCTIONS[0]; i++) {
        void *symbol = dlsym(library, FUNCTIONS[i].name);
        if (symbol == NULL && finder != NULL)
            symbol = finder(FUNCTIONS[i].name);
        if (symbol == NULL)
            return FUNCTIONS[i].name;
        memcpy((char *)cl + FUNCTIONS[i].place, &symbol, sizeof symbol);
    }
    return NULL;
}

/* Load the library at `path`, or the first of the usual ones that is whole if it is NULL. Libraries
   stay loaded for good: drivers do not survive being unloaded. */
int load_opencl(opencl *cl, const char *path, message *message)
{
    const char *const *names = path == NULL ? NAMES : &path;
    size_t count = path == NULL ? sizeof NAMES / sizeof NAMES[0] : 1;
    fail(message, PENJING_NO_OPENCL, "no OpenCL library: neither %s nor %s nor a driver's own",
         NAMES[0], NAMES[1]);
    for (size_t i = 0; i < count; i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        const char *missing = library == NULL ? NULL : find_functions(library, cl);
        if (library != NULL && missing == NULL)
            return fail(message, PENJING_OK, "%s", "");
        if (missing != NULL)
            fail(message, PENJING_NO_OPENCL, "%s has no function %s", names[i], missing);
        else if (path != NULL)
            fail(message, PENJING_NO_OPENCL, "no OpenCL library: %s", dlerror());
    }
    return PENJING_NO_OPENCL;
}
