/* An association as SCU, as little of it as C-STORE needs (PS3.8 section 9.3). */
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { COMMAND = 3, DATA = 0, LAST_DATA = 2, PDU_HEADER = 6, PDV_HEADER = 6 };

typedef struct {
    int port;
    const char *calling, *called, *sop_class;
} Peer;

typedef struct {
    int socket;
    uint32_t maximum_pdu; /* of the peer, or ours where it has none */
    unsigned char answer[65536];
} Association;

_Noreturn void fail(const char *format, ...);
void open_association(Association *association, const Peer *peer);
void release_association(Association *association);
void transmit(Association *association, struct iovec *part, int parts);
uint32_t receive_data(Association *association); /* a P-DATA-TF into `answer`, without its header; its length */
void put_data_header(unsigned char *at, uint32_t length, int control); /* 12 bytes */
uint32_t get32(const unsigned char *at);
