/* A C-STORE SCU that costs almost nothing, so that the receiver is what is measured.
 *
 * Data sets lie in memory; a thread is an association; an instance is one writev where the socket takes it; one request
 * is outstanding; every status is looked at. The UIDs are written into the data set: see images.py for their form.
 */
#define _GNU_SOURCE
#include "association.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static struct {
    Peer peer;
    int once; /* an association for each instance */
    size_t length, sop_at, series_at, templates;
    unsigned run, associations, instances;
    const unsigned char *pack;
} plan;

typedef struct {
    pthread_t thread;
    Association association;
    unsigned number, instances, acknowledged, refused;
    double first, last;
    unsigned char *copies, *headers;
} Sender;

static pthread_barrier_t start;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static unsigned char *put_element(unsigned char *at, unsigned element, const void *value, uint32_t length) {
    uint32_t padded = length + (length & 1), tag = element << 16; /* group 0000; implicit VR little endian */
    memcpy(at, &tag, 4), memcpy(at + 4, &padded, 4), memcpy(at + 8, value, length);
    if (padded > length) at[8 + length] = 0;
    return at + 8 + padded;
}

static unsigned char *put_short(unsigned char *at, unsigned element, uint16_t value) {
    return put_element(at, element, &value, 2);
}

static size_t put_request(unsigned char *pdu, const char *sop_instance, uint16_t message) {
    unsigned char *group = pdu + PDU_HEADER + PDV_HEADER, *at = group + 12;
    at = put_element(at, 0x0002, plan.peer.sop_class, (uint32_t)strlen(plan.peer.sop_class));
    at = put_short(put_short(put_short(put_short(at, 0x0100, 1), 0x0110, message), 0x0700, 0), 0x0800, 1);
    at = put_element(at, 0x1000, sop_instance, (uint32_t)strlen(sop_instance));
    uint32_t length = (uint32_t)(at - group - 12);
    put_element(group, 0x0000, &length, 4);
    put_data_header(pdu, (uint32_t)(at - group), COMMAND);
    return (size_t)(at - pdu);
}

static int read_status(Association *association) {
    uint32_t length = receive_data(association), size;
    if (length < PDV_HEADER || get32(association->answer) + 4 != length || association->answer[5] != COMMAND)
        fail("the response is not one command in one PDU");
    for (uint32_t at = PDV_HEADER; at + 10 <= length; at += 8 + size) {
        memcpy(&size, association->answer + at + 4, 4);
        const unsigned char *element = association->answer + at;
        if (memcmp(element, "\0\0\0\11", 4) == 0) return element[8] | element[9] << 8;
    }
    fail("the response has no status");
}

static void store(Sender *sender, unsigned instance) {
    unsigned char request[512], *copy = sender->copies + instance % plan.templates * plan.length;
    char series[64], sop_instance[64];
    struct iovec parts[1 + 2 * (plan.length / 1024 + 1)];
    int count = 1;
    snprintf(series, sizeof series, "2.25.2%010u%04u", plan.run, sender->number);
    snprintf(sop_instance, sizeof sop_instance, "2.25.1%010u%04u%08u", plan.run, sender->number, instance);
    memcpy(copy + plan.series_at, series, strlen(series));
    memcpy(copy + plan.sop_at, sop_instance, strlen(sop_instance));
    parts[0] = (struct iovec){request, put_request(request, sop_instance, (uint16_t)(instance % 65535 + 1))};
    size_t room = (sender->association.maximum_pdu - PDV_HEADER) & ~(size_t)1;
    for (size_t at = 0; at < plan.length; at += room) {
        size_t rest = plan.length - at, length = rest < room ? rest : room;
        unsigned char *header = sender->headers + 12 * (size_t)count;
        put_data_header(header, (uint32_t)length, length == rest ? LAST_DATA : DATA);
        parts[count++] = (struct iovec){header, 12};
        parts[count++] = (struct iovec){copy + at, length};
    }
    transmit(&sender->association, parts, count);
    sender->refused += read_status(&sender->association) != 0;
    sender->acknowledged++;
    sender->last = now();
}

static void *send_all(void *argument) {
    Sender *sender = argument;
    sender->copies = malloc(plan.templates * plan.length);
    sender->headers = malloc(12 * 2 * (plan.length / 1024 + 2));
    memcpy(sender->copies, plan.pack, plan.templates * plan.length);
    pthread_barrier_wait(&start);
    sender->first = now();
    if (!plan.once) open_association(&sender->association, &plan.peer);
    for (unsigned instance = 0; instance < sender->instances; instance++) {
        if (plan.once) open_association(&sender->association, &plan.peer);
        store(sender, instance);
        if (plan.once) release_association(&sender->association);
    }
    if (!plan.once) release_association(&sender->association);
    return NULL;
}

static void read_pack(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status)) fail("%s: %s", path, strerror(errno));
    plan.pack = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (plan.pack == MAP_FAILED) fail("%s: %s", path, strerror(errno));
    plan.templates = (size_t)status.st_size / plan.length;
}

static void read_plan(int count, char **words) {
    if (count != 13)
        fail("sender PORT CALLING CALLED SOP_CLASS PACK LENGTH SOP_AT SERIES_AT RUN ASSOCIATIONS INSTANCES ONCE");
    plan.peer = (Peer){atoi(words[1]), words[2], words[3], words[4]};
    plan.length = strtoul(words[6], NULL, 10), plan.sop_at = strtoul(words[7], NULL, 10);
    plan.series_at = strtoul(words[8], NULL, 10), plan.run = (unsigned)atoi(words[9]);
    plan.associations = (unsigned)atoi(words[10]), plan.instances = (unsigned)atoi(words[11]);
    plan.once = atoi(words[12]);
    read_pack(words[5]);
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN); /* writev says so too */
    read_plan(count, words);
    Sender *senders = calloc(plan.associations, sizeof *senders);
    pthread_barrier_init(&start, NULL, plan.associations);
    for (unsigned i = 0; i < plan.associations; i++) {
        senders[i].number = i;
        senders[i].instances = plan.instances / plan.associations + (i < plan.instances % plan.associations);
        pthread_create(&senders[i].thread, NULL, send_all, &senders[i]);
    }
    double begin = INFINITY, end = 0;
    unsigned acknowledged = 0, refused = 0;
    for (unsigned i = 0; i < plan.associations; i++) {
        pthread_join(senders[i].thread, NULL);
        acknowledged += senders[i].acknowledged, refused += senders[i].refused;
        begin = fmin(begin, senders[i].first), end = fmax(end, senders[i].last);
    }
    printf("{\"seconds\": %.6f, \"acknowledged\": %u, \"refused\": %u}\n", end - begin, acknowledged, refused);
    return 0;
}
