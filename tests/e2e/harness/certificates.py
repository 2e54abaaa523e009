# SPDX-License-Identifier: Apache-2.0
"""Certificates for TLS on loopback, good and bad, made by openssl when first asked for.

`Certificates(env).server()` is a pair of files (chain, key) signed by `.ca`; so are the others, each with one fault.
"""
import subprocess


def _openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Certificates:
    def __init__(self, env):
        self._dir = env.tmp / "certificates"
        self._dir.mkdir(exist_ok=True)
        self.ca, self._ca_key = self._authority("ca")
        self._made = {}

    def _authority(self, name):
        certificate, key = self._dir / f"{name}.pem", self._dir / f"{name}.key"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                 "-subj", f"/CN=spantap test {name}", "-keyout", key, "-out", certificate)
        return certificate, key

    def _sign(self, name, alternatives="IP:127.0.0.1,DNS:localhost", days=30, ca=None):
        if name in self._made:
            return self._made[name]
        ca, ca_key = ca or (self.ca, self._ca_key)
        certificate, key, request = (self._dir / f"{name}.{end}" for end in ("pem", "key", "csr"))
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-addext", f"subjectAltName={alternatives}", "-keyout", key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
                 "-copy_extensions", "copy", "-days", days, "-out", certificate)
        self._made[name] = str(certificate), str(key)
        return self._made[name]

    def server(self):
        return self._sign("server")

    def client(self):
        return self._sign("client", "DNS:client.test")

    def expired(self):
        return self._sign("expired", days=-1)

    def wrong_name(self):
        return self._sign("wrong_name", "DNS:another.test")

    def unknown_ca(self):
        """Signed by an authority that nobody trusts."""
        return self._sign("unknown_ca", ca=self._authority("other_ca"))
