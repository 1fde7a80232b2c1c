//! Certificates that are made for a test, by authorities that nobody knows.

#![allow(dead_code, reason = "each suite uses a part")]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An authority that issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate with its key, both in PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
    pub der: Vec<u8>,
}

/// Days from now from which and until which a certificate is valid.
pub type Days = (i64, i64);

/// What is in use.
pub const VALID: Days = (-1, 89);

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), pem: certificate.pem() }
    }

    /// A certificate of the loopback.
    pub fn server(&self) -> Issued {
        self.of_days(VALID)
    }

    /// The same, with other days.
    pub fn of_days(&self, days: Days) -> Issued {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        self.issue(&names, ExtendedKeyUsagePurpose::ServerAuth, days)
    }

    /// A certificate of another host.
    pub fn named(&self, name: &str) -> Issued {
        self.issue(&[name.to_owned()], ExtendedKeyUsagePurpose::ServerAuth, VALID)
    }

    /// A certificate of the loopback that is an authority's own, as `openssl req -x509`
    /// makes it.
    pub fn of_itself() -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
        }
    }

    /// A certificate of a client.
    pub fn client(&self) -> Issued {
        let names = ["operator.test".to_owned()];
        self.issue(&names, ExtendedKeyUsagePurpose::ClientAuth, VALID)
    }

    fn issue(&self, names: &[String], usage: ExtendedKeyUsagePurpose, days: Days) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0].as_str());
        params.extended_key_usages = vec![usage];
        let epoch = date_time_ymd(1970, 1, 1);
        (params.not_before, params.not_after) =
            (epoch + from_now(days.0), epoch + from_now(days.1));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
        }
    }
}

/// From the Unix epoch to so many days from now.
fn from_now(days: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let days_of = DAY * u32::try_from(days.unsigned_abs()).unwrap();
    if days < 0 { now - days_of } else { now + days_of }
}

/// A folder with a certificate and its key.
pub struct Files(TempDir);

impl Files {
    pub fn of(issued: &Issued) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.replace(issued);
        files
    }

    /// Writes another certificate and key in the place of those that are there.
    pub fn replace(&self, issued: &Issued) {
        self.write("tls.crt", &issued.certificate);
        self.write("tls.key", &issued.key);
    }

    /// Writes a file that none but its user may read, all at once.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.path().join(name);
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }
}
