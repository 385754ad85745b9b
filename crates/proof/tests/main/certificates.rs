//! Certificates: nothing in them can be altered, and none taken out of the chain, without being noticed.

use crate::shaping::Shaping;
use crate::world::{KEYS, World, item};
use proof::{Certificate, Writer, verify_chain, verify_stored};

fn chain() -> Vec<Certificate> {
    let mut world = World::new(1, Shaping::Plain, KEYS);
    world.pace = 0;
    let subject = world.subject(Writer::Flow);
    let mut chain: Vec<Certificate> = Vec::new();
    for round in 0..3 {
        if round == 1 {
            world.target.tamper("stock", vec![item(4, "hidden", 1, 1)]).unwrap();
        }
        let certificate = Certificate::seal(&world.prove(), &subject, chain.last()).unwrap();
        chain.push(certificate);
    }
    chain
}

#[test]
fn a_chain_verifies_and_every_flipped_byte_is_found() {
    let chain = chain();
    assert_eq!(verify_chain(&chain), Ok(()));
    assert!(chain[0].is_equal() && !chain[1].is_equal());
    let stored: Vec<Vec<u8>> = chain.iter().map(Certificate::to_bytes).collect();
    assert_eq!(verify_stored(&stored), Ok(chain));
    for (index, certificate) in stored.iter().enumerate() {
        for place in 0..certificate.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut altered = stored.clone();
                altered[index][place] ^= flip;
                let fault = verify_stored(&altered).expect_err("an altered byte is found");
                assert_eq!(fault.index, index, "byte {place}: {fault}");
            }
        }
    }
}

#[test]
fn a_dropped_swapped_or_repeated_certificate_is_found() {
    let [a, b, c] = chain().try_into().unwrap();
    let fault = |chain: &[&Certificate]| {
        let chain: Vec<Certificate> = chain.iter().map(|c| (*c).clone()).collect();
        verify_chain(&chain).unwrap_err().index
    };
    assert_eq!(fault(&[&b, &c]), 0);
    assert_eq!(fault(&[&a, &c]), 1);
    assert_eq!(fault(&[&a, &c, &b]), 1);
    assert_eq!(fault(&[&a, &b, &b]), 2);
}

/// Whoever rewrites a certificate and its hash breaks the next one.
#[test]
fn a_forged_certificate_does_not_continue_the_chain() {
    let mut chain = chain();
    let mut world = World::new(9, Shaping::Plain, KEYS);
    let subject = world.subject(Writer::Flow);
    chain[1] = Certificate::seal(&world.prove(), &subject, Some(&chain[0])).unwrap();
    assert!(chain[1].is_equal() && chain[1].verify().is_ok());
    assert_eq!(verify_chain(&chain).unwrap_err().index, 2);
}

#[test]
fn a_certificate_reads_well_and_shows_no_values() {
    let chain = chain();
    let text = chain[1].to_string();
    assert!(text.contains("DIFFERENT in 1 row"), "{text}");
    assert!(text.contains("1 changed (foreign)"), "{text}");
    assert!((12..=18).contains(&text.lines().count()), "{text}");
    let stored = String::from_utf8(chain[1].to_bytes()).unwrap();
    assert!(!stored.contains("hidden") && !text.contains("hidden"));
}
