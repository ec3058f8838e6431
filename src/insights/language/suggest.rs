//! What somebody may have meant.

/// Longer names are not compared: the time it takes grows with both lengths, and nobody types them by hand.
const LONGEST: usize = 64;
/// More than any dataset has.
const MOST: usize = 300;

/// The name that is most like the one that was written, if one is at all.
pub fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let length = written.chars().count();
    if length > LONGEST {
        return None;
    }
    let most = 1 + length / 4;
    let away = |name: &str| {
        let name = name.to_lowercase();
        let difference = name.chars().count().abs_diff(length);
        // Who writes only a part of a name means the shortest that has it.
        if length >= 4 && name.contains(&written) {
            return Some((false, difference));
        }
        // No name is nearer than the difference of the lengths; most need not be compared.
        let distance = (difference <= most).then(|| strsim::osa_distance(&written, &name));
        distance.filter(|distance| *distance <= most).map(|distance| (true, distance))
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
