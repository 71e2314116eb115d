/** Certificates for the tests of TLS, made with openssl. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificates {
  ca: string;
  cert: string;
  key: string;
}

/** A CA and one certificate of it for localhost, good for both ends. `name` keeps several apart in one directory. */
export function makeCertificates(dir: string, name = "test"): Certificates {
  const file = (suffix: string): string => join(dir, `${name}-${suffix}`);
  const openssl = (args: readonly string[]): void => {
    execFileSync("openssl", args, { stdio: ["ignore", "ignore", "ignore"] });
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const caFiles = ["-keyout", file("ca.key"), "-out", file("ca.pem")];
  openssl(["req", "-x509", ...key, ...caFiles, "-days", "2", "-subj", `/CN=${name} CA`]);
  const files = ["-keyout", file("key.pem"), "-out", file("csr.pem")];
  openssl(["req", ...key, ...files, "-subj", "/CN=localhost"]);
  writeFileSync(
    file("ext"),
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
  );
  const signer = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial"];
  const result = ["-out", file("cert.pem"), "-days", "2", "-extfile", file("ext")];
  openssl(["x509", "-req", "-in", file("csr.pem"), ...signer, ...result]);
  return { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") };
}
