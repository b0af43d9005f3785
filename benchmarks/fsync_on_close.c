/* Gives a program that has no such option durability: whatever it wrote below $FSYNC_FOLDER is flushed when closed,
 * and with $FSYNC_NAMES the folder too, so that the file's name survives a power cut as its bytes do.
 *
 * gcc -O2 -shared -fPIC fsync_on_close.c -o fsync_on_close.so; FSYNC_FOLDER=... LD_PRELOAD=... storescp ...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_stored_file(int descriptor) {
    const char *folder = getenv("FSYNC_FOLDER");
    int flags = fcntl(descriptor, F_GETFL);
    if (!folder || flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0 && path[strlen(folder)] == '/';
}

static void require(int failed) {
    if (failed) {
        perror("fsync_on_close");
        abort();
    }
}

static void flush(int descriptor) {
    static int folder = -1;
    if (!is_stored_file(descriptor)) return;
    require(fsync(descriptor) != 0);
    if (!getenv("FSYNC_NAMES")) return;
    if (folder < 0) folder = open(getenv("FSYNC_FOLDER"), O_RDONLY | O_DIRECTORY);
    require(folder < 0 || fsync(folder) != 0);
}

int fclose(FILE *stream) {
    static int (*original)(FILE *);
    if (!original) original = (int (*)(FILE *))dlsym(RTLD_NEXT, "fclose");
    int written = fflush(stream);
    if (written == 0) flush(fileno(stream));
    int closed = original(stream);
    return written ? written : closed;
}

int close(int descriptor) {
    static int (*original)(int);
    if (!original) original = (int (*)(int))dlsym(RTLD_NEXT, "close");
    flush(descriptor);
    return original(descriptor);
}
