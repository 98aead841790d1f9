/* Faults at the level of system calls, for one process and one folder, loaded with LD_PRELOAD.
 *
 * Every call that changes something below the watched folder is counted. The call whose number was armed fails in the
 * way that was armed: nothing above libc is replaced, so SQLite, FAISS, Python and mmsearch run as they are.
 * Calls can also be written to a log, with their data, from which other states of a disk can be made (disk.py).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NONE, CRASH, TORN, ENOSPC_ONCE, FULL, EIO_ONCE, DEAD, FLIP, SHORT, CLOCK };
enum { CREATE = 'c', TRUNCATE = 't', WRITE = 'w', SYNC = 's', RENAME = 'r', UNLINK = 'u', MKDIR = 'm', RMDIR = 'd' };

struct entry { /* what precedes the paths and the data of a call in the log */
  char op, without_data, unused[6];
  int64_t number, offset, length;
  int32_t path, target;
};

static char watched[PATH_MAX];
static int log_fd = -1, log_data, kind, counting;
static long count, at, clock_back;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

void faults_watch(const char *folder) { snprintf(watched, sizeof watched, "%s", folder); }
void faults_log(int fd, int with_data) { log_fd = fd; log_data = with_data; }
void faults_arm(long number, int what) { count = 0; at = number; kind = what; clock_back = 0; counting = 1; }
long faults_count(void) { return count; }
long faults_disarm(void) { counting = 0; clock_back = 0; return count; }

static int below(const char *path) {
  size_t length = strlen(watched);
  return length && !strncmp(path, watched, length) && (path[length] == '/' || !path[length]);
}

static int resolve(int folder, const char *path, char *out) {
  if (path[0] == '/') { snprintf(out, PATH_MAX, "%s", path); return 1; }
  char link[64], base[PATH_MAX];
  snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
  ssize_t n = readlink(link, base, sizeof base - 1);
  if (n < 0) return 0;
  base[n] = 0;
  return snprintf(out, PATH_MAX, "%s/%s", base, path) < PATH_MAX;
}

static int of_fd(int fd, char *out) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, out, PATH_MAX - 1);
  if (n <= 0 || out[0] != '/') return 0;
  out[n] = 0;
  return below(out);
}

static void put(const void *data, size_t length) {
  const char *bytes = data;
  while (length) {
    long n = syscall(SYS_write, log_fd, bytes, length);
    if (n <= 0) return;
    bytes += n;
    length -= n;
  }
}

static void die(void) { syscall(SYS_kill, getpid(), SIGKILL); for (;;) pause(); }

/* Counts a call and says what is to happen to it. The mutex is held from here to leave(). */
static int enter(char op, const char *path, const char *target, int64_t offset, int64_t length, const void *data) {
  pthread_mutex_lock(&mutex);
  long number = ++count;
  if (log_fd >= 0) {
    struct entry e = {op, !data || !log_data, {0}, number, offset, length, (int32_t)strlen(path), target ? (int32_t)strlen(target) : 0};
    put(&e, sizeof e);
    put(path, e.path);
    if (target) put(target, e.target);
    if (!e.without_data) put(data, length);
  }
  int hit = number == at, takes_room = op == WRITE || op == CREATE || op == MKDIR || (op == TRUNCATE && length > 0);
  if (kind == FULL) return number >= at && takes_room ? ENOSPC : 0;
  if (kind == DEAD) return number >= at ? EIO : 0;
  if (!hit) return 0;
  if (kind == CRASH) die();
  if (kind == ENOSPC_ONCE) return ENOSPC;
  if (kind == EIO_ONCE) return EIO;
  if (kind == CLOCK) clock_back = 86400;
  return 0;
}

static void leave(void) { pthread_mutex_unlock(&mutex); }

#define WATCHED(condition) (counting && (condition))
#define FAULT(code) do { int failed = (code); if (failed) { leave(); errno = failed; return -1; } } while (0)

typedef ssize_t (*writer)(int, const void *, size_t, int64_t);
static ssize_t plain(int fd, const void *data, size_t size, int64_t offset) {
  (void)offset;
  return syscall(SYS_write, fd, data, size);
}
static ssize_t placed(int fd, const void *data, size_t size, int64_t offset) {
  return syscall(SYS_pwrite64, fd, data, size, offset);
}

static ssize_t changed_write(int fd, const char *path, const void *data, size_t size, int64_t offset, writer real) {
  int64_t where = offset;
  if (real == plain) where = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
  FAULT(enter(WRITE, path, NULL, where, size, data));
  ssize_t done;
  if (count == at && kind == TORN) {
    real(fd, data, size / 2, offset);
    die();
  }
  if (count == at && kind == SHORT && size > 1) {
    done = real(fd, data, size / 2, offset);
  } else if (count == at && kind == FLIP && size) {
    char copy[size];
    memcpy(copy, data, size);
    copy[(count * 7919) % size] ^= (char)(1 << (count % 8));
    done = real(fd, copy, size, offset);
  } else {
    done = real(fd, data, size, offset);
  }
  leave();
  return done;
}

ssize_t write(int fd, const void *data, size_t size) {
  char path[PATH_MAX];
  if (WATCHED(of_fd(fd, path))) return changed_write(fd, path, data, size, 0, plain);
  return plain(fd, data, size, 0);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  char path[PATH_MAX];
  if (WATCHED(of_fd(fd, path))) return changed_write(fd, path, data, size, offset, placed);
  return placed(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }
ssize_t writev(int fd, const struct iovec *parts, int number) {
  char path[PATH_MAX];
  if (!WATCHED(of_fd(fd, path))) { REAL(writev); return real(fd, parts, number); }
  return write(fd, parts[0].iov_base, parts[0].iov_len); /* fewer bytes than asked for is an answer, too */
}

#define SYNCING(name)                                                  \
  int name(int fd) {                                                   \
    REAL(name);                                                        \
    char path[PATH_MAX];                                               \
    if (!WATCHED(of_fd(fd, path))) return real(fd);                    \
    FAULT(enter(SYNC, path, NULL, 0, 0, NULL));                        \
    int done = real(fd);                                               \
    leave();                                                           \
    return done;                                                       \
  }
SYNCING(fsync)
SYNCING(fdatasync)

#define TRUNCATING(name, type)                                         \
  int name(int fd, type length) {                                      \
    char path[PATH_MAX];                                               \
    if (!WATCHED(of_fd(fd, path))) return syscall(SYS_ftruncate, fd, length); \
    FAULT(enter(TRUNCATE, path, NULL, length, length, NULL));          \
    int done = syscall(SYS_ftruncate, fd, length);                     \
    leave();                                                           \
    return done;                                                       \
  }
TRUNCATING(ftruncate, off_t)
TRUNCATING(ftruncate64, off64_t)

static int renaming(int from, const char *old, int to, const char *new) {
  char source[PATH_MAX], target[PATH_MAX];
  int seen = counting && resolve(from, old, source) && resolve(to, new, target) && (below(source) || below(target));
  if (!seen) return syscall(SYS_renameat, from, old, to, new);
  FAULT(enter(RENAME, source, target, 0, 0, NULL));
  int done = syscall(SYS_renameat, from, old, to, new);
  leave();
  return done;
}
int rename(const char *old, const char *new) { return renaming(AT_FDCWD, old, AT_FDCWD, new); }
int renameat(int from, const char *old, int to, const char *new) { return renaming(from, old, to, new); }

static int unlinking(int folder, const char *name, int flags) {
  char path[PATH_MAX];
  struct stat status;
  int seen = counting && resolve(folder, name, path) && below(path);
  /* What isn't there is no injection point: cleaning up tries it often. */
  if (!seen || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW)) return syscall(SYS_unlinkat, folder, name, flags);
  FAULT(enter(flags & AT_REMOVEDIR ? RMDIR : UNLINK, path, NULL, 0, 0, NULL));
  int done = syscall(SYS_unlinkat, folder, name, flags);
  leave();
  return done;
}
int unlink(const char *name) { return unlinking(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinking(AT_FDCWD, name, AT_REMOVEDIR); }
int unlinkat(int folder, const char *name, int flags) { return unlinking(folder, name, flags); }

static int making(int folder, const char *name, mode_t mode) {
  char path[PATH_MAX], parent[PATH_MAX];
  struct stat status;
  int seen = counting && resolve(folder, name, path) && below(path);
  if (seen) {
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash && slash != parent) *slash = 0;
  }
  if (!seen || !fstatat(folder, name, &status, 0) || stat(parent, &status))
    return syscall(SYS_mkdirat, folder, name, mode);
  FAULT(enter(MKDIR, path, NULL, 0, 0, NULL));
  int done = syscall(SYS_mkdirat, folder, name, mode);
  leave();
  return done;
}
int mkdir(const char *name, mode_t mode) { return making(AT_FDCWD, name, mode); }
int mkdirat(int folder, const char *name, mode_t mode) { return making(folder, name, mode); }

static int opening(int folder, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  struct stat status;
  int seen = counting && (flags & (O_CREAT | O_TRUNC)) && resolve(folder, name, path) && below(path);
  if (seen) {
    int there = !fstatat(folder, name, &status, 0);
    char op = !there && (flags & O_CREAT) ? CREATE : there && (flags & O_TRUNC) && status.st_size ? TRUNCATE : 0;
    if (there && (flags & O_EXCL)) op = 0;
    if (op) {
      FAULT(enter(op, path, NULL, 0, 0, NULL));
      int fd = syscall(SYS_openat, folder, name, flags, mode);
      int kept = errno;
      leave();
      errno = kept;
      return fd;
    }
  }
  return syscall(SYS_openat, folder, name, flags, mode);
}

#define MODE(last) mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, last); \
  mode = va_arg(more, mode_t); va_end(more); }
int open(const char *name, int flags, ...) { MODE(flags) return opening(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return opening(AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE(flags) return opening(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE(flags) return opening(folder, name, flags, mode); }

int clock_gettime(clockid_t clock, struct timespec *now) {
  int done = (int)syscall(SYS_clock_gettime, clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec -= clock_back;
  return done;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  int done = (int)syscall(SYS_gettimeofday, now, zone);
  now->tv_sec -= clock_back;
  return done;
}
time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
