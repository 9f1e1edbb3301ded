// Counts what an audio callback must not do. Preloaded into the host (LD_PRELOAD), which marks the
// callback with `watch_enter` and `watch_leave`; what that thread does between the marks counts.
//
// Allocations, releases and locks are seen at the functions of the C library. System calls are seen
// by the kernel (syscall user dispatch, Linux 5.11): between the marks it sends a signal instead.
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include <atomic>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

namespace {

constexpr char kAllow = 0, kBlock = 1;

std::atomic<long> allocations, releases, locks, calls;
__thread bool is_inside = false;
__thread bool is_dispatched = false;
__thread char selector = kAllow;
bool is_call_watched = true;

void count(std::atomic<long>& counter) {
    if (is_inside) ++counter;
}

template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void on_call(int) {
    selector = kAllow;  // returning from a signal is a system call, too
    ++calls;
}

// The thread that first enters is the one that is watched.
void dispatch() {
    is_dispatched = true;
    struct sigaction action {};
    action.sa_handler = on_call;
    sigaction(SIGSYS, &action, nullptr);
    is_call_watched =
        prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0L, 0L, &selector) == 0;
}

}  // namespace

#define REAL(name) static const auto real = next<decltype(name)>(#name)

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void watch_enter() {
    if (!is_dispatched) dispatch();
    is_inside = true;
    selector = kBlock;
}

void watch_leave() {
    selector = kAllow;
    is_inside = false;
}

// "0 0 0 0": allocations, releases, locks and system calls, the last -1 where they are not seen.
void watch_print(char* text, size_t size) {
    snprintf(text, size, "%ld %ld %ld %ld", allocations.load(), releases.load(), locks.load(),
             is_call_watched ? calls.load() : -1L);
}

void* malloc(size_t size) {
    count(allocations);
    return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
    count(allocations);
    return __libc_calloc(number, size);
}
void* realloc(void* old, size_t size) {
    count(allocations);
    return __libc_realloc(old, size);
}
void* memalign(size_t by, size_t size) {
    count(allocations);
    return __libc_memalign(by, size);
}
void* aligned_alloc(size_t by, size_t size) { return memalign(by, size); }
int posix_memalign(void** result, size_t by, size_t size) {
    *result = memalign(by, size);
    return *result != nullptr ? 0 : 12;
}
void free(void* old) {
    if (old != nullptr) count(releases);
    __libc_free(old);
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
    REAL(pthread_mutex_lock);
    count(locks);
    return real(mutex);
}
int pthread_mutex_trylock(pthread_mutex_t* mutex) {
    REAL(pthread_mutex_trylock);
    count(locks);
    return real(mutex);
}
int pthread_rwlock_rdlock(pthread_rwlock_t* lock) {
    REAL(pthread_rwlock_rdlock);
    count(locks);
    return real(lock);
}
int pthread_rwlock_wrlock(pthread_rwlock_t* lock) {
    REAL(pthread_rwlock_wrlock);
    count(locks);
    return real(lock);
}
int pthread_spin_lock(pthread_spinlock_t* lock) {
    REAL(pthread_spin_lock);
    count(locks);
    return real(lock);
}
int pthread_cond_signal(pthread_cond_t* condition) {
    REAL(pthread_cond_signal);
    count(locks);
    return real(condition);
}
int sem_wait(sem_t* semaphore) {
    REAL(sem_wait);
    count(locks);
    return real(semaphore);
}
int sem_post(sem_t* semaphore) {
    REAL(sem_post);
    count(locks);
    return real(semaphore);
}

}  // extern "C"
