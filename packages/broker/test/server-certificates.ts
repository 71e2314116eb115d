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
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { stdio: ["ignore", "ignore", "ignore"] });
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    file("ca.key"),
    "-out",
    file("ca.pem"),
    "-days",
    "2",
    "-subj",
    `/CN=${name} CA`,
  );
  openssl("req", ...key, "-keyout", file("key.pem"), "-out", file("csr.pem"), "-subj", "/CN=localhost");
  writeFileSync(
    file("ext"),
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
  );
  openssl(
    ...[
      "x509",
      "-req",
      "-in",
      file("csr.pem"),
      "-CA",
      file("ca.pem"),
      "-CAkey",
      file("ca.key"),
      "-CAcreateserial",
    ],
    ...["-out", file("cert.pem"), "-days", "2", "-extfile", file("ext")],
  );
  return { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") };
}
