/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A guess from the first bytes of a call: does an HTTP/1 or FastCGI message begin here? Pure; compiled
 * into the programs and, natively, into tests/bpf. A wrong yes costs up to head_bytes of copying; a wrong
 * no costs a message head, so anything that may still become one counts as a yes ("G" alone: some
 * servers read the first byte of the next request by itself).
 *
 * Leading CRLFs (RFC 9112 2.2 lets a server skip them) are stepped over. Of FastCGI a whole record header
 * is wanted: everybody reads and writes its eight bytes at once.
 */
#ifndef SPANTAP_BPF_INFER_H
#define SPANTAP_BPF_INFER_H

#include <linux/types.h>

/* Bytes looked at: the longest method we insist on telling apart, its space and the target's start. */
#define SPANTAP_INFER_BYTES 16u

enum spantap_guess {
	SPANTAP_INFER_NO = 0,
	SPANTAP_INFER_REQUEST = 1,
	SPANTAP_INFER_RESPONSE = 2,
	SPANTAP_INFER_PREFACE = 3, /* a client begins HTTP/2: no message */
	SPANTAP_INFER_FCGI_REQUEST = 4,
	SPANTAP_INFER_FCGI_RESPONSE =
	    5, /* or a later part of one, or no FastCGI: to be believed once a request */
};

/* Record types (FastCGI 1.0, section 8); the other bytes are version 1, the request's id, lengths, 0. */
#define SPANTAP_FCGI_BEGIN_REQUEST 1
#define SPANTAP_FCGI_END_REQUEST 3
#define SPANTAP_FCGI_STDOUT 6
#define SPANTAP_FCGI_STDERR 7
#define SPANTAP_FCGI_HEADER_BYTES 8u

/* A token character that occurs in method names in use: upper case, digits not, '-' (M-SEARCH) yes. */
static __inline __attribute__((always_inline)) int spantap_infer_method_char(__u8 c)
{
	return (c >= 'A' && c <= 'Z') || c == '-';
}

/* What may follow the method: origin-form, asterisk-form, absolute-form, or CONNECT's authority. */
static __inline __attribute__((always_inline)) int spantap_infer_target_char(__u8 c)
{
	return c == '/' || c == '*' || c == '[' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

/* A record header that begins a request, or one with which an answer may begin. */
static __inline __attribute__((always_inline)) enum spantap_guess
spantap_infer_fcgi(const __u8 bytes[SPANTAP_INFER_BYTES], __u32 length)
{
	__u8 type = bytes[1];

	if (length < SPANTAP_FCGI_HEADER_BYTES || bytes[0] != 1 || !(bytes[2] | bytes[3]) || bytes[7])
		return SPANTAP_INFER_NO;
	if (type == SPANTAP_FCGI_STDOUT || type == SPANTAP_FCGI_STDERR)
		return SPANTAP_INFER_FCGI_RESPONSE;
	if (bytes[4] || bytes[5] != 8) /* the other two have bodies of fixed length */
		return SPANTAP_INFER_NO;
	if (type == SPANTAP_FCGI_BEGIN_REQUEST)
		return SPANTAP_INFER_FCGI_REQUEST;
	return type == SPANTAP_FCGI_END_REQUEST ? SPANTAP_INFER_FCGI_RESPONSE : SPANTAP_INFER_NO;
}

/*
 * `bytes` holds `length` valid bytes followed by zeros (length <= SPANTAP_INFER_BYTES).
 * One pass with a fixed bound, so that the verifier walks it once.
 */
static __inline __attribute__((always_inline)) enum spantap_guess
spantap_infer(const __u8 bytes[SPANTAP_INFER_BYTES], __u32 length)
{
	const __u64 version = 0x2e312f50545448ull; /* "HTTP/1.", first byte lowest */
	__u32 method = 0, matched = 0;
	int response = 1;

	if (bytes[0] == 1)
		return spantap_infer_fcgi(bytes, length);
	if (bytes[0] == 'P' && bytes[1] == 'R' && bytes[2] == 'I' && bytes[3] == ' ' && bytes[4] == '*')
		return SPANTAP_INFER_PREFACE;
	for (__u32 i = 0; i < SPANTAP_INFER_BYTES; i++) {
		__u8 c = bytes[i];

		if (i >= length)
			return method ? (response ? SPANTAP_INFER_RESPONSE : SPANTAP_INFER_REQUEST)
				      : SPANTAP_INFER_NO;
		if (!method && (c == '\r' || c == '\n'))
			continue;
		if (response && matched < 7 && c == (__u8)(version >> (8 * matched))) {
			matched++;
			method++;
			if (matched == 7)
				return SPANTAP_INFER_RESPONSE;
			continue;
		}
		response = 0;
		if (spantap_infer_method_char(c)) {
			method++;
			continue;
		}
		/* The end of the method: a space and the start of a target, or no request. */
		if (method < 3 || c != ' ')
			return SPANTAP_INFER_NO;
		if (i + 1 >= length || i + 1 >= SPANTAP_INFER_BYTES)
			return SPANTAP_INFER_REQUEST;
		return spantap_infer_target_char(bytes[i + 1]) ? SPANTAP_INFER_REQUEST : SPANTAP_INFER_NO;
	}
	return SPANTAP_INFER_NO;
}

#endif /* SPANTAP_BPF_INFER_H */
