//! What somebody may have meant.

/// Longer names are not compared: the time it takes grows with both lengths.
const LONGEST: usize = 200;
/// More than any dataset has.
const MOST: usize = 2000;

/// The name that is most like the one that was written, if one is at all.
pub(super) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let length = written.chars().count();
    if length > LONGEST {
        return None;
    }
    let away = |name: &str| {
        let name = name.to_lowercase();
        let distance = strsim::osa_distance(&written, &name);
        // Who writes only a part of a name means the shortest that has it.
        let part = length >= 4 && name.contains(&written);
        (distance <= 1 + length / 4 || part).then_some((!part, distance))
    };
    let near = names.take(MOST).filter(|name| name.len() <= LONGEST);
    near.filter_map(|name| away(name).map(|away| (away, name))).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_and_a_part_find_the_name_and_nonsense_finds_none() {
        let names = ["CustomerName", "CustomerMarket", "Month", "MonthlyActiveUsers"];
        for (written, meant) in [
            ("custmername", Some("CustomerName")),
            ("Mnoth", Some("Month")),
            ("Months", Some("Month")),
            ("market", Some("CustomerMarket")),
            ("Revenue", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, names.into_iter()), meant, "{written}");
        }
    }
}
