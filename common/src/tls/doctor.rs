//! What is wrong with the files of TLS: whether they can be read and belong together, whether keys are closed to
//! others, and for how long certificates are good. Nobody is connected to.

use std::path::Path;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

use super::{CERTIFICATE, CLIENT_CA, Files, KEY, TlsError, certificates, identity_of};
use crate::clock::{Clock, Millis, SystemClock};
use crate::doctor::{Finding, Verdict, machine};

/// A certificate that expires within so many seconds is told.
const SOON: u64 = 14 * 86_400;

/// Who reads files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// We do. Authorities that have expired are trusted on.
    Rustls,
    /// The client of Kafka does, which knows more kinds of keys, and passwords of theirs.
    OpenSsl,
}

/// From when to when a certificate is good, in seconds since 1970; what it does not tell is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lifetime {
    from: u64,
    until: u64,
}

/// What a process would show to its clients; nothing if it would speak plainly.
pub fn server(files: Result<Option<Files>, TlsError>) -> Vec<Finding> {
    let files = match files {
        Ok(Some(files)) => files,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Finding::fail(error.to_string(), "docs/settings.md has every setting")],
    };
    let remedy = "mend it, or name another with --tls-cert and --tls-key (https.certificate, https.key)";
    let mut found = identity(Library::Rustls, [CERTIFICATE, KEY], [&files.certificate, &files.key], remedy);
    if let Some(path) = &files.client_ca {
        let remedy = "mend it, or name another with --tls-client-ca (https.client-ca)";
        found.push(authorities(Library::Rustls, CLIENT_CA, path, remedy));
    }
    found
}

/// A certificate and its key, both under the names that findings have for them.
pub fn identity(
    library: Library,
    what: [&'static str; 2],
    [certificate, key]: [&Path; 2],
    remedy: &str,
) -> Vec<Finding> {
    let provider = rustls::crypto::ring::default_provider();
    let usable = certificates(what[0], certificate).and_then(|chain| {
        match identity_of(what, certificate, key, &provider) {
            Err(error) if library == Library::Rustls || matches!(error, TlsError::Mismatch { .. }) => {
                Err(error)
            }
            _ => Ok(chain),
        }
    });
    let mut found = match usable {
        Ok(chain) => {
            judge_chain(&format!("{} {}", what[0], certificate.display()), &lifetimes(&chain), now())
        }
        Err(error) => vec![Finding::fail(error.to_string(), remedy)],
    };
    // That it is missing is told already.
    if key.exists() {
        found.push(machine::private(what[1], key));
    }
    found
}

/// Those that are trusted.
pub fn authorities(library: Library, what: &'static str, path: &Path, remedy: &str) -> Finding {
    let usable = match library {
        Library::Rustls => super::authorities(what, path).map(drop),
        Library::OpenSsl => Ok(()),
    };
    let found = match usable.and_then(|()| certificates(what, path)) {
        Ok(all) => judge_authorities(&format!("{what} {}", path.display()), &lifetimes(&all), now()),
        Err(error) => return Finding::fail(error.to_string(), remedy),
    };
    match library {
        Library::Rustls if found.verdict == Verdict::Fail => Finding::warn(found.what, found.remedy),
        _ => found,
    }
}

fn now() -> u64 {
    SystemClock.now().0 / 1_000
}

fn lifetimes(certificates: &[CertificateDer<'_>]) -> Vec<Lifetime> {
    certificates.iter().map(lifetime).collect()
}

/// Rustls says when it would refuse one, and shows no dates: it is asked at both ends of time. That it trusts nobody
/// it would say after that.
fn lifetime(certificate: &CertificateDer<'_>) -> Lifetime {
    let (mut from, mut until) = (0, u64::MAX);
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return Lifetime { from, until } };
    let known = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    for seconds in [0, u64::MAX] {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let nobody = RootCertStore::empty();
        match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], time, known) {
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                from = not_before.as_secs();
            }
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                until = not_after.as_secs();
            }
            _ => {}
        }
    }
    Lifetime { from, until }
}

/// The first is who shows it; those behind it may be ones that nobody needs.
fn judge_chain(told: &str, chain: &[Lifetime], now: u64) -> Vec<Finding> {
    let mut found: Vec<_> = chain.iter().take(1).map(|own| judge(told, *own, now)).collect();
    let told = format!("a certificate behind {told}");
    let others = chain.iter().skip(1).map(|other| judge(&told, *other, now));
    let troubles = others.filter(|found| found.verdict != Verdict::Ok);
    found.extend(troubles.map(|found| Finding::warn(found.what, found.remedy)));
    found
}

/// While authorities are exchanged, a file holds the old and the new one.
fn judge_authorities(told: &str, all: &[Lifetime], now: u64) -> Finding {
    let last = all.iter().max_by_key(|life| life.until);
    judge(told, *last.expect("a file without certificates is an error"), now)
}

fn judge(told: &str, life: Lifetime, now: u64) -> Finding {
    let date = |seconds: u64| Millis(seconds.saturating_mul(1_000)).date();
    match life {
        Lifetime { until, .. } if until < now => {
            Finding::fail(format!("{told}: expired on {}", date(until)), "renew it")
        }
        Lifetime { from, .. } if from > now => {
            Finding::fail(format!("{told}: good from {} on only", date(from)), "look at this machine's clock")
        }
        Lifetime { until: u64::MAX, .. } => Finding::ok(format!("{told}: good for ever")),
        Lifetime { until, .. } if until < now + SOON => {
            Finding::warn(format!("{told}: expires on {}", date(until)), "renew it before that")
        }
        Lifetime { until, .. } => Finding::ok(format!("{told}: good until {}", date(until))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn certificates_are_judged_by_their_dates() {
        let now = 1_000 * DAY;
        let life = |from: u64, until: u64| Lifetime { from: from * DAY, until: until * DAY };
        for (life, verdict, told) in [
            (life(0, 2_000), Verdict::Ok, "it: good until 1975-06-24"),
            (life(0, 1_015), Verdict::Ok, "good until"),
            (life(0, 1_013), Verdict::Warn, "expires on 1972-10-10"),
            (life(0, 999), Verdict::Fail, "expired on 1972-09-26"),
            (life(1_001, 2_000), Verdict::Fail, "good from 1972-09-28 on only"),
            (Lifetime { from: 0, until: u64::MAX }, Verdict::Ok, "good for ever"),
        ] {
            let found = judge("it", life, now);
            assert!(found.verdict == verdict && found.what.contains(told), "{found:?}");
        }
        let verdicts = |lives: &[Lifetime]| {
            judge_chain("it", lives, now).into_iter().map(|found| found.verdict).collect::<Vec<_>>()
        };
        let (good, gone) = (life(0, 2_000), life(0, 999));
        assert_eq!(verdicts(&[good, good]), [Verdict::Ok]);
        assert_eq!(verdicts(&[good, gone]), [Verdict::Ok, Verdict::Warn]);
        assert_eq!(verdicts(&[gone, good]), [Verdict::Fail]);
        assert_eq!(judge_authorities("they", &[gone, good], now).verdict, Verdict::Ok);
        assert_eq!(judge_authorities("they", &[gone], now).verdict, Verdict::Fail);
    }

    /// A folder with `cert.pem`, good for these days since 1970, and `key.pem`, which is its owner's alone.
    fn folder(from: u64, until: u64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let day = |days: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(days * DAY);
        (params.not_before, params.not_after) = (day(from), day(until));
        let key = KeyPair::generate().unwrap();
        fs::write(folder.path().join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let file = folder.path().join("key.pem");
        fs::write(&file, key.serialize_pem()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        folder
    }

    #[test]
    fn rustls_tells_when_a_certificate_is_good() {
        let folder = folder(17, 4_711);
        let found = certificates("it", &folder.path().join("cert.pem")).unwrap();
        assert_eq!(lifetimes(&found), [Lifetime { from: 17 * DAY, until: 4_711 * DAY }]);
    }

    #[test]
    fn an_identity_is_looked_at_as_who_reads_it_does() {
        let (good, other, gone) = (folder(0, 40_000), folder(0, 40_000), folder(0, 10_000));
        let at = |folder: &tempfile::TempDir, name: &str| folder.path().join(name);
        let look = |library, certificate: &Path, key: &Path| {
            identity(library, ["the certificate", "the key"], [certificate, key], "mend it")
        };
        let failures = |found: Vec<Finding>| {
            let failed = found.into_iter().filter(|found| found.verdict == Verdict::Fail);
            failed.map(|found| found.what).collect::<Vec<_>>()
        };
        let (certificate, key) = (at(&good, "cert.pem"), at(&good, "key.pem"));
        for library in [Library::Rustls, Library::OpenSsl] {
            assert_eq!(failures(look(library, &certificate, &key)), [""; 0]);
            for (certificate, key, told) in [
                (&certificate, &at(&other, "key.pem"), "key.pem: it is not the key of"),
                (&at(&good, "none.pem"), &key, "none.pem: it cannot be read"),
                (&at(&gone, "cert.pem"), &at(&gone, "key.pem"), "cert.pem: expired on 1997-05-19"),
            ] {
                let failed = failures(look(library, certificate, key));
                assert!(failed.len() == 1 && failed[0].contains(told), "{told}: {failed:?}");
            }
        }
        // A key under a password, or of a kind that only OpenSSL knows.
        let odd = at(&good, "odd.pem");
        fs::write(&odd, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
            .unwrap();
        fs::set_permissions(&odd, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(failures(look(Library::OpenSsl, &certificate, &odd)), [""; 0]);
        assert_eq!(failures(look(Library::Rustls, &certificate, &odd)).len(), 1);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let failed = failures(look(Library::Rustls, &certificate, &key));
        assert!(
            failed.len() == 1 && failed[0].contains("the key") && failed[0].contains("644"),
            "{failed:?}"
        );
    }

    #[test]
    fn authorities_that_have_expired_are_refused_by_openssl_alone() {
        let gone = folder(0, 10_000);
        let file = gone.path().join("cert.pem");
        for (library, verdict) in [(Library::Rustls, Verdict::Warn), (Library::OpenSsl, Verdict::Fail)] {
            let found = authorities(library, "they", &file, "mend it");
            assert!(found.verdict == verdict && found.what.contains("expired on"), "{found:?}");
            let missing = authorities(library, "they", Path::new("/nowhere/ca.pem"), "mend it");
            assert!(missing.verdict == Verdict::Fail && missing.remedy == "mend it", "{missing:?}");
        }
    }
}
