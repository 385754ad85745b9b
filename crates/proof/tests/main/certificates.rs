//! Certificates: nothing in them can be altered, and none taken out of the chain, without being noticed and placed.

use crate::shaping::Shaping;
use crate::world::{KEYS, World, item};
use change::DigestKey;
use proof::{
    About, Certificate, CertificateFault, Excluded, Head, Linked, Mended, Page, Piece, Writer,
    split, verify,
};

fn chain() -> Vec<Certificate> {
    let mut world = World::new(1, Shaping::Plain, KEYS);
    world.pace = 0;
    let mut subject = world.subject(Writer::Flow);
    subject.excluded = vec![Excluded {
        side: "source".into(),
        column: "phone".into(),
        why: "dropped by a mask".into(),
        wholly: true,
    }];
    let mut chain: Vec<Certificate> = Vec::new();
    for round in 0..4 {
        if round == 1 {
            world.target.tamper("stock", vec![item(4, "hidden", 1, 1)]).unwrap();
            world.target.tamper_delete("stock", &[change::Key(vec![4711.into_value()])]).unwrap();
        }
        let mended = Mended { found_by: 2, asked: 1, repaired: 0, dropped: 1 };
        let about = About {
            previous: chain.last().map(Linked::head),
            mended: (round == 2).then_some(mended),
            ..About::of(&subject, DigestKey::new(1))
        };
        let certificate = Certificate::seal(&world.prove(), &about).unwrap();
        chain.push(certificate);
    }
    chain
}

trait IntoValue {
    fn into_value(self) -> change::Value;
}

impl IntoValue for i64 {
    fn into_value(self) -> change::Value {
        change::Value::Int(self)
    }
}

fn whole(bytes: &[u8]) -> Piece<'_> {
    Piece { bytes, lines_before: 0 }
}

fn stored(chain: &[Certificate]) -> Vec<Vec<u8>> {
    chain.iter().map(Certificate::to_bytes).collect()
}

fn verified(bodies: &[Vec<u8>]) -> Result<Vec<Certificate>, CertificateFault> {
    let pieces: Vec<Piece<'_>> = bodies.iter().map(|body| whole(body)).collect();
    verify(&pieces, None, &[])
}

/// The line of a byte, from 1; a line break belongs to the line that it ends.
fn line_of(bytes: &[u8], place: usize) -> usize {
    bytes[..place].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[test]
fn a_chain_verifies_and_every_flipped_byte_is_found_and_placed() {
    let chain = chain();
    assert!(chain[0].is_equal() && !chain[1].is_equal());
    let stored = stored(&chain);
    assert_eq!(verified(&stored), Ok(chain.clone()));
    let mut flips = 0;
    for (index, certificate) in stored.iter().enumerate() {
        let mut altered = stored.clone();
        for place in 0..certificate.len() {
            for bit in [0, 5, 7] {
                altered[index][place] ^= 1 << bit;
                let fault = verify(
                    &[whole(&altered[index])],
                    chain.get(index.wrapping_sub(1)).map(Linked::head).as_ref(),
                    &[],
                );
                let fault = fault.expect_err("an altered byte is found");
                assert_eq!(fault.line, Some(line_of(certificate, place)), "byte {place}: {fault}");
                altered[index][place] ^= 1 << bit;
                flips += 1;
            }
        }
        // In the whole chain the certificate is told, too.
        for place in (0..certificate.len()).step_by(7) {
            altered[index][place] ^= 1;
            assert_eq!(verified(&altered).unwrap_err().index, index);
            altered[index][place] ^= 1;
        }
    }
    assert!(flips > 30_000, "only {flips} flips were tried");
}

#[test]
fn an_altered_line_is_told_by_its_field() {
    let text = String::from_utf8(chain()[1].to_bytes()).unwrap();
    for (from, to, field) in [
        ("\"wrong\":1", "\"wrong\":2", "wrong"),
        ("\"kind\":\"changed\"", "\"kind\":\"missing\"", "differences"),
        ("\"why\":\"dropped by a mask\"", "\"why\":\"dropped  by a mask\"", "excluded"),
        ("\"format\":2", "\"format\":1", "format"),
        ("\"format\":2", "\"format\": 2", "format"),
        ("\"engine\":\"", "\"engine\": \"", "engine"),
        ("\"seals\":[\"", "\"seals\":[ \"", "seals"),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from} is in it");
        let fault = verify(&[whole(altered.as_bytes())], None, &[]).unwrap_err();
        assert_eq!(fault.field.as_deref(), Some(field), "{from}: {fault}");
        assert!(fault.to_string().contains(&format!("({field})")), "{fault}");
    }
}

/// In a file the place is a line of the file, and damage does not spread to the neighbours.
#[test]
fn every_flipped_byte_of_a_file_is_placed() {
    let chain = chain();
    let file: Vec<u8> = stored(&chain).concat();
    assert_eq!(verify(&split(&file), None, &[]), Ok(chain.clone()));
    let mut altered = file.clone();
    for place in 0..file.len() {
        let flip = if place % 2 == 0 { 0x01 } else { 0x80 };
        altered[place] ^= flip;
        let fault = verify(&split(&altered), None, &[]).expect_err("an altered byte is found");
        let line = fault.lines_before + fault.line.expect("a line is told");
        assert_eq!(line, line_of(&file, place), "byte {place}: {fault}");
        altered[place] ^= flip;
    }
}

#[test]
fn a_file_cut_off_anywhere_is_found() {
    let chain = chain();
    let bodies = stored(&chain);
    let file: Vec<u8> = bodies.concat();
    let ends: Vec<usize> = bodies
        .iter()
        .scan(0, |end, body| {
            Some({
                *end += body.len();
                *end
            })
        })
        .collect();
    for end in 0..file.len() {
        let outcome = verify(&split(&file[..end]), None, &[chain[3].head()]);
        let fault = outcome.expect_err("an end that is cut off is found");
        let intact = ends.iter().filter(|whole| **whole <= end).count();
        assert_eq!(fault.index, intact, "cut at {end}: {fault}");
    }
    assert!(verify(&split(&file), None, &[chain[3].head()]).is_ok());
}

#[test]
fn every_removed_moved_or_doubled_link_is_found_and_named() {
    let chain = chain();
    let heads = [chain[3].head()];
    let fault = |order: &[usize]| {
        let bodies = stored(&order.iter().map(|n| chain[*n].clone()).collect::<Vec<_>>());
        let pieces: Vec<Piece<'_>> = bodies.iter().map(|body| whole(body)).collect();
        verify(&pieces, None, &heads).err().map(|fault| (fault.index, fault.number))
    };
    assert_eq!(fault(&[0, 1, 2, 3]), None);
    for gone in 0..4_usize {
        let order: Vec<usize> = (0..4).filter(|n| *n != gone).collect();
        let named = i64::try_from(gone + 1).unwrap();
        assert_eq!(fault(&order), Some((gone, Some(named))), "without {named}");
        for other in gone + 1..4 {
            let mut order = vec![0, 1, 2, 3];
            order.swap(gone, other);
            assert_eq!(fault(&order), Some((gone, Some(named))), "{order:?}");
        }
        for again in 0..=gone {
            let mut order = vec![0, 1, 2, 3];
            order.insert(gone + 1, again);
            assert_eq!(fault(&order), Some((gone + 1, Some(named + 1))), "{order:?}");
        }
    }
    assert_eq!(fault(&[]), Some((0, Some(1))), "nothing is left");
}

#[test]
fn a_part_of_a_chain_begins_behind_a_head_that_is_known() {
    let chain = chain();
    let part = stored(&chain[2..]).concat();
    assert_eq!(verify(&split(&part), None, &[]).unwrap_err().number, Some(1));
    assert!(verify(&split(&part), Some(&chain[1].head()), &[]).is_ok());
    let wrong = Head { number: 2, hash: chain[0].hash.clone() };
    assert_eq!(verify(&split(&part), Some(&wrong), &[]).unwrap_err().field.unwrap(), "previous");
}

/// Whoever rewrites a certificate and its hashes breaks the next one; whoever rewrites all behind it is shown by a head.
#[test]
fn a_forged_certificate_does_not_continue_the_chain() {
    let mut chain = chain();
    let kept = [chain[3].head()];
    let mut world = World::new(9, Shaping::Plain, KEYS);
    world.pace = 0;
    let subject = world.subject(Writer::Flow);
    for place in 1..4 {
        let about = About {
            previous: Some(chain[place - 1].head()),
            ..About::of(&subject, DigestKey::new(1))
        };
        chain[place] = Certificate::seal(&world.prove(), &about).unwrap();
        assert!(chain[place].is_equal());
        let bodies = stored(&chain);
        let pieces: Vec<Piece<'_>> = bodies.iter().map(|body| whole(body)).collect();
        let fault = verify(&pieces, None, &kept).unwrap_err();
        assert_eq!(
            fault.number,
            Some(i64::try_from(place).unwrap() + if place == 3 { 1 } else { 2 })
        );
    }
}

/// Another flow's certificate does not fit, and several flows may lie in one file.
#[test]
fn certificates_of_several_flows_are_chains_of_their_own() {
    let chain = chain();
    let mut world = World::new(1, Shaping::Plain, KEYS);
    world.pace = 0;
    let mut subject = world.subject(Writer::Flow);
    subject.flow = change::FlowId::mint(99);
    let other = |previous: Option<&Certificate>, world: &mut World| {
        let previous = previous.map(Linked::head);
        let about = About { previous, ..About::of(&subject, DigestKey::new(1)) };
        Certificate::seal(&world.prove(), &about).unwrap()
    };
    let first = other(None, &mut world);
    let mixed = stored(&[chain[0].clone(), first.clone(), chain[1].clone()]);
    assert!(verified(&mixed).is_ok());
    let stranger = other(Some(&chain[1]), &mut world);
    let mixed = stored(&[chain[0].clone(), chain[1].clone(), stranger]);
    assert_eq!(verified(&mixed).unwrap_err().index, 2);
}

/// A seal vouches for bytes, not for sense.
#[test]
fn a_certificate_that_denies_its_own_figures_is_no_proof() {
    let chain = chain();
    let about = |certificate: &Certificate| {
        verified(&[certificate.to_bytes()]).unwrap_err().field.unwrap_or_default()
    };
    let mut forged = chain[0].clone();
    forged.wrong = 3;
    assert_eq!(about(&forged), "wrong");
    let mut forged = chain[0].clone();
    forged.found.sum ^= 1;
    assert_eq!(about(&forged), "found");
    let mut forged = chain[0].clone();
    forged.coverage.whole = false;
    assert_eq!(about(&forged), "coverage");
    let mut forged = chain[0].clone();
    forged.verdict = "UNPROVEN".into();
    assert_eq!(about(&forged), "reason");
    let mut forged = chain[0].clone();
    forged.verdict = "FINE".into();
    assert_eq!(about(&forged), "verdict");
}

#[test]
fn what_is_no_certificate_is_refused_and_never_a_panic() {
    for file in [
        "",
        "\n",
        "\n\n\n\n",
        "{}",
        "{\"format\":2,\n",
        "\"hash\":\n",
        "\"seals\":[\"\"],\n\"seals\":",
    ] {
        let outcome = verify(&split(file.as_bytes()), None, &[]);
        assert_eq!(outcome.is_ok(), file.is_empty(), "{file:?}");
    }
    let body = chain()[1].to_bytes();
    for begin in 0..body.len() {
        assert!(verify(&split(&body[begin..]), None, &[]).is_err(), "from {begin}");
    }
}

#[test]
fn a_certificate_reads_well_and_shows_no_values() {
    let chain = chain();
    let text = chain[1].to_string();
    for part in [
        "DIFFERENT in 1 row",
        "1 changed (foreign)",
        "the whole key space",
        "source.phone: dropped",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(chain[2].to_string().contains("0 of 1 rows that certificate 2 found were repaired"));
    assert!((12..=20).contains(&text.lines().count()), "{text}");
    let stored = String::from_utf8(chain[1].to_bytes()).unwrap();
    let page = Page(&chain[1]).to_string();
    for shown in [&stored, &text, &page] {
        assert!(!shown.contains("hidden"), "{shown}");
    }
    // It is JSON for whoever has no seamount.
    let json: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(json["cost"]["source_rows"], KEYS);
    assert_eq!(json["seals"].as_array().unwrap().len() + 2, stored.lines().count());
}

/// Keys are few: who has a list of them must not find them again in a certificate.
#[test]
fn hashes_of_keys_stand_on_the_secret_seed() {
    let mut world = World::new(1, Shaping::Plain, KEYS);
    world.pace = 0;
    world.target.tamper("stock", vec![item(4, "hidden", 1, 1)]).unwrap();
    let (proof, subject) = (world.prove(), world.subject(Writer::Flow));
    let key = |seed: u64| {
        let about = About::of(&subject, DigestKey::new(seed));
        Certificate::seal(&proof, &about).unwrap().differences[0].key.clone()
    };
    assert_eq!(key(1), key(1));
    assert_ne!(key(1), key(2));
}

#[test]
fn a_page_fetches_nothing_and_escapes_everything() {
    let mut world = World::new(1, Shaping::Plain, KEYS);
    world.pace = 0;
    let mut subject = world.subject(Writer::Flow);
    subject.flow_name = "<script src=http://x>&\"'".into();
    subject.excluded = vec![Excluded {
        side: "target".into(),
        column: "</style><img onerror=alert(1) src=x>\u{202e}".into(),
        why: "<b>".into(),
        wholly: true,
    }];
    world.target.tamper("stock", vec![item(4, "hidden", 1, 1)]).unwrap();
    let mut proof = world.prove();
    proof.site = "<i>north</i>".into();
    let about = About::of(&subject, DigestKey::new(1));
    let page = Page(&Certificate::seal(&proof, &about).unwrap()).to_string();
    for wrong in [
        "<script",
        "<img",
        "<b>",
        "<i>",
        "</style><",
        "\u{202e}",
        "url(",
        "@import",
        "href",
        " src=\"",
    ] {
        assert!(!page.contains(wrong), "{wrong} is in\n{page}");
    }
    assert!(page.contains("&lt;script src=http://x&gt;&amp;&quot;&#39;"), "{page}");
    assert!(page.contains("default-src 'none'"), "nothing may be fetched");
    let tags = |what: &str| page.matches(what).count();
    for tag in ["table", "tr", "td", "h2", "p", "code", "thead"] {
        let opened = tags(&format!("<{tag}>")) + tags(&format!("<{tag} "));
        assert_eq!(opened, tags(&format!("</{tag}>")), "{tag}");
    }
}
