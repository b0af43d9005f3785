/* See association.h. */
#define _GNU_SOURCE
#include "association.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASSOCIATE_RQ = 1, ASSOCIATE_AC = 2, P_DATA = 4, RELEASE_RQ = 5, RELEASE_RP = 6 };
enum { MINIMUM_PDU = 4096, MAXIMUM_PDU = 131072, PARTS = 1024 };

_Noreturn void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static unsigned char *put16(unsigned char *at, unsigned value) { /* big endian, as PDUs are */
    at[0] = (unsigned char)(value >> 8), at[1] = (unsigned char)value;
    return at + 2;
}

static unsigned char *put32(unsigned char *at, uint32_t value) { return put16(put16(at, value >> 16), value & 0xffff); }
static unsigned get16(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }
uint32_t get32(const unsigned char *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }

static void receive(Association *association, unsigned char *at, size_t wanted) {
    while (wanted) {
        ssize_t got = recv(association->socket, at, wanted, 0);
        if (got <= 0) fail("the peer %s", got == 0 ? "closed the connection" : strerror(errno));
        at += got, wanted -= (size_t)got;
    }
}

static uint32_t receive_pdu(Association *association, int wanted) {
    receive(association, association->answer, PDU_HEADER);
    uint32_t length = get32(association->answer + 2);
    int type = association->answer[0];
    if (length > sizeof association->answer) fail("PDU type %d of %u bytes", type, length);
    receive(association, association->answer, length);
    const unsigned char *reason = association->answer + 2;
    if (type != wanted) fail("PDU type %d instead of %d (source %d, reason %d)", type, wanted, reason[0], reason[1]);
    return length;
}

uint32_t receive_data(Association *association) { return receive_pdu(association, P_DATA); }

void transmit(Association *association, struct iovec *part, int parts) {
    while (parts) {
        ssize_t sent = writev(association->socket, part, parts < PARTS ? parts : PARTS);
        if (sent < 0) fail("the peer takes nothing more: %s", strerror(errno));
        for (; parts && (size_t)sent >= part->iov_len; part++, parts--) sent -= (ssize_t)part->iov_len;
        if (parts) part->iov_base = (char *)part->iov_base + sent, part->iov_len -= (size_t)sent;
    }
}

static unsigned char *put_item(unsigned char *at, int type, const void *content, size_t length) {
    at[0] = (unsigned char)type, at[1] = 0;
    memcpy(put16(at + 2, (unsigned)length), content, length);
    return at + 4 + length;
}

static void request_association(Association *association, const Peer *peer) {
    unsigned char pdu[1024] = {ASSOCIATE_RQ}, inner[256], *at = pdu + 74, *end = inner + 4;
    char titles[33];
    snprintf(titles, sizeof titles, "%-16.16s%-16.16s", peer->called, peer->calling);
    put16(pdu + 6, 1);
    memcpy(pdu + 10, titles, 32);
    at = put_item(at, 0x10, "1.2.840.10008.3.1.1.1", 21);
    memcpy(inner, "\1\0\0\0", 4); /* presentation context 1 */
    end = put_item(end, 0x30, peer->sop_class, strlen(peer->sop_class));
    end = put_item(end, 0x40, "1.2.840.10008.1.2.1", 19);
    at = put_item(at, 0x20, inner, (size_t)(end - inner));
    unsigned char maximum[4];
    put32(maximum, MAXIMUM_PDU);
    end = put_item(inner, 0x51, maximum, 4);
    end = put_item(end, 0x52, "2.25.3", 6);
    at = put_item(at, 0x50, inner, (size_t)(end - inner));
    put32(pdu + 2, (uint32_t)(at - pdu - PDU_HEADER));
    struct iovec part = {pdu, (size_t)(at - pdu)};
    transmit(association, &part, 1);
}

static void read_acceptance(Association *association) {
    uint32_t length = receive_pdu(association, ASSOCIATE_AC), maximum_pdu = 0;
    const unsigned char *at = association->answer + 68, *end = association->answer + length;
    while (at + 4 <= end) {
        if (at[0] == 0x21 && at[6] != 0) fail("the presentation context was not accepted: %d", at[6]);
        if (at[0] == 0x51) maximum_pdu = get32(at + 4);
        at += at[0] == 0x50 ? 4 : 4 + get16(at + 2); /* the maximum lies inside the user information */
    }
    if (maximum_pdu != 0 && maximum_pdu < MINIMUM_PDU) fail("a maximum PDU of %u bytes", maximum_pdu);
    association->maximum_pdu = maximum_pdu == 0 || maximum_pdu > MAXIMUM_PDU ? MAXIMUM_PDU : maximum_pdu;
}

void open_association(Association *association, const Peer *peer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer->port)};
    struct timeval patience = {60, 0};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    association->socket = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(association->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(association->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(association->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(association->socket, (struct sockaddr *)&address, sizeof address))
        fail("no connection: %s", strerror(errno));
    request_association(association, peer);
    read_acceptance(association);
}

void release_association(Association *association) {
    unsigned char pdu[10] = {RELEASE_RQ, 0, 0, 0, 0, 4};
    struct iovec part = {pdu, sizeof pdu};
    transmit(association, &part, 1);
    receive_pdu(association, RELEASE_RP);
    close(association->socket);
}

void put_data_header(unsigned char *at, uint32_t length, int control) {
    at[0] = P_DATA, at[1] = 0;
    put32(put32(at + 2, length + PDV_HEADER), length + 2);
    at[10] = 1, at[11] = (unsigned char)control;
}

