//! Masks as they are written: they come to every site of a group, and a flow's generation names them.

use super::project::{INVENTORY, SITES, codes, read};
use change::mask::Rule;
use seamount_flow::fingerprint::masks;
use seamount_flow::{Problem, Project};

/// The project with lines behind its group of stores.
fn reading(mask: &str) -> (Vec<Problem>, Option<Project>) {
    let reading = read(&[("sites.toml", &format!("{SITES}{mask}"))]);
    (reading.problems, reading.project)
}

fn project(mask: &str) -> Project {
    let (problems, project) = reading(mask);
    project.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn fingerprint(project: &Project) -> String {
    masks(&project.flows[0], &project.sites)
}

#[test]
fn a_groups_mask_is_that_of_each_of_its_sites() {
    let project =
        project("mask = { inventory = { qty = \"hash\" }, customers = { note = \"mask\" } }\n");
    for site in ["paris", "oslo"] {
        let masks = &project.sites[site].settings.masks;
        assert_eq!(masks.of("INVENTORY").unwrap().rule("Qty"), Some(Rule::Hash));
        assert_eq!(masks.of("customers").unwrap().rule("note"), Some(Rule::Mask));
        assert!(masks.of("prices").is_none());
    }
    assert!(project.sites["central"].settings.masks.is_empty());
    let table =
        "[stores.mask.inventory]\nqty = \"hash\"\n[stores.mask.customers]\nnote = \"mask\"\n";
    let (problems, written) = reading(table);
    let written = written.unwrap_or_else(|| panic!("{problems:#?}"));
    assert_eq!(written.sites["oslo"].settings.masks.definition("inventory"), "\"qty\" hash");
}

#[test]
fn a_generation_names_the_masks_of_its_own_tables_and_not_its_sites() {
    let plain = fingerprint(&project(""));
    assert_eq!(plain, "", "flows without masks keep the definition they have");
    let hashed = fingerprint(&project("mask = { inventory = { qty = \"hash\" } }\n"));
    assert_ne!(hashed, plain);
    let again = fingerprint(&project("mask = { INVENTORY = { QTY = \"hash\" } }\n"));
    assert_eq!(again, hashed, "spelling is no change");
    assert!(!hashed.contains("paris"), "one more store of the same mask is no change: {hashed}");
    let dropped = fingerprint(&project("mask = { inventory = { qty = \"drop\" } }\n"));
    assert_ne!(dropped, hashed);
    assert_eq!(fingerprint(&project("mask = { customers = { note = \"drop\" } }\n")), "");
    // The same mask at one of two sites is not the same at the other.
    let both = project("");
    let mask = project("mask = { inventory = { qty = \"hash\" } }\n");
    let at = |masked: &str| {
        let mut sites = both.sites.clone();
        sites.insert(masked.into(), mask.sites[masked].clone());
        masks(&both.flows[0], &sites)
    };
    assert_ne!(at("paris"), at("oslo"));
}

#[test]
fn masks_that_say_nothing_or_two_things_are_refused() {
    for (mask, code) in [
        ("mask = true\n", "E0105"),
        ("mask = { }\n", "E0108"),
        ("mask = { customers = { } }\n", "E0108"),
        ("mask = { customers = \"hash\" }\n", "E0105"),
        ("mask = { customers = { email = 1 } }\n", "E0105"),
        ("mask = { customers = { email = \"Hash\" } }\n", "E0107"),
        ("mask = { customers = { email = \"hash\", Email = \"drop\" } }\n", "E0109"),
        ("mask = { customers = { a = \"hash\" }, Customers = { b = \"drop\" } }\n", "E0109"),
        ("mask = { inventory = { sku = \"mask\" } }\n", "E0324"),
        ("mask = { inventory = { SKU = \"drop\" } }\n", "E0324"),
        ("mask = { inventory = { Store_Id = \"hash\" } }\n", "E0324"),
    ] {
        let (problems, project) = reading(mask);
        assert_eq!(codes(&problems), [code], "{mask}{problems:#?}");
        assert!(project.is_none() && problems[0].effect.is_some() && problems[0].fix.is_some());
    }
    assert!(INVENTORY.contains("owner = \"store_id\""));
}
