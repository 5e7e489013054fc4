//! What a crash leaves of the last write, and what cannot come from one (R15).

use super::*;

#[test]
fn r15_a_torn_tail_is_cut_whichever_of_its_sectors_were_written_and_what_was_acknowledged_survives() {
    let mut journal = committed(2);
    let (file, offset) = (journal.file.clone(), journal.end);
    fail_after(&mut journal, 1);
    let torn_group = vec![vec![3; 1800]];
    assert!(matches!(journal.commit(&torn_group), Err(JournalError::Disk(_))));
    for survivors in 0..16u32 {
        let mut asked = 0;
        let mut disk = journal.clone().into_disk();
        disk.crash(|unsynced| {
            asked += usize::from(matches!(unsynced, Unsynced::Write { .. }));
            asked == 0 || survivors >> (asked - 1) & 1 == 1
        });
        assert_eq!(asked, 4, "sectors");
        let (mut reopened, records, torn) = open(disk).unwrap();
        if survivors == 15 {
            assert_eq!((records, torn), ([groups(1..3), torn_group.clone()].concat(), None));
            continue;
        }
        assert_eq!(records, groups(1..3));
        let sectors = 32 - survivors.leading_zeros();
        let bytes = u64::from(sectors) * SECTOR as u64;
        let torn = torn.map(|torn| (torn.file, torn.offset, torn.bytes.next_multiple_of(SECTOR as u64)));
        assert_eq!(torn, (sectors > 0).then(|| (file.clone(), offset, bytes)));
        assert_eq!(after_crash(reopened.disk.clone(), |_| false).unwrap(), (groups(1..3), None), "the cut is durable");
        reopened.commit(&group(4)).unwrap();
        let expected = [groups(1..3), group(4)].concat();
        assert_eq!(after_crash(reopened.into_disk(), |_| false).unwrap(), (expected, None));
    }
}

/// Whether a journal whose last frame is changed like this is refused, there, or opened without that frame.
fn is_refused(sealed: bool, change: impl Fn(&mut [u8])) -> bool {
    let mut journal = committed(2);
    let (file, begin) = (journal.file.clone(), journal.end);
    journal.commit(&[vec![3; 600], vec![4; 600], vec![5; 600]]).unwrap();
    let end = journal.end;
    if sealed {
        journal.seal().unwrap();
    }
    let mut disk = journal.into_disk();
    disk.damage(&file, |bytes| change(&mut bytes[begin as usize..end as usize]));
    match open(disk) {
        Ok((_, records, torn)) => {
            assert_eq!((records, torn.unwrap().offset), (groups(1..3), begin));
            false
        }
        Err(OpenError::Damaged { file: named, offset, damage: Damage::Frame }) => {
            assert_eq!((named, offset), (file, begin));
            true
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn r15_a_flipped_bit_anywhere_in_the_last_frame_is_damage_and_no_torn_tail() {
    for at in 0..4 * SECTOR {
        assert!(is_refused(false, |frame| frame[at] ^= 0x40), "byte {at}");
    }
    assert!(is_refused(false, |frame| frame.rotate_left(SECTOR)), "sectors in another order");
    assert!(is_refused(false, |frame| frame.copy_within(SECTOR..2 * SECTOR, 2 * SECTOR)), "a sector twice");
}

/// Zeros are also what a torn write leaves. Only the seal tells, which is written once nothing else is to be.
#[test]
fn r15_a_sector_of_zeros_in_the_last_frame_is_damage_once_the_journal_is_sealed() {
    for sector in 0..4 {
        let zero = |frame: &mut [u8]| frame[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
        assert!(!is_refused(false, zero));
        assert!(is_refused(true, zero));
    }
    assert!(is_refused(true, |frame| frame.fill(0)), "a write that never reached the disk");
}

#[test]
fn r15_only_one_frame_can_be_torn() {
    let two = |damage: fn(&mut Vec<u8>, usize)| {
        let mut journal = committed(1);
        let (file, begin) = (journal.file.clone(), journal.end as usize);
        (2..4).for_each(|commit| journal.commit(&group(commit)).unwrap());
        journal.disk.damage(&file, |bytes| damage(bytes, begin));
        let Err(OpenError::Damaged { offset, damage: Damage::Frame, .. }) = open(journal.into_disk()) else { panic!("accepted") };
        assert_eq!(offset as usize, begin);
    };
    two(|bytes, begin| bytes[begin..begin + SECTOR].fill(0));
    two(|bytes, begin| bytes[begin..begin + 2 * SECTOR].fill(0));
    two(|bytes, begin| bytes[begin + SECTOR..begin + 2 * SECTOR].fill(0));
    // The second frame's header is gone too, but not its rest, which is beyond what the first one can have written.
    two(|bytes, begin| bytes[begin + SECTOR..begin + 3 * SECTOR].fill(0));
}

#[test]
fn r15_no_sector_of_a_frame_is_zeros_on_disk_whatever_is_in_the_records() {
    let journal = committed(0);
    let frame = frame::encode(&journal.marks, &journal.chain, &[vec![0; 5000]]).unwrap().0;
    assert_eq!(frame.len() % SECTOR, 0);
    assert!(frame.chunks(SECTOR).all(|sector| sector.iter().any(|byte| *byte != 0)));
}

/// A client may put any bytes into a request. A frame made with another journal's secret does not pass for one of ours.
#[test]
fn r15_a_torn_frame_that_carries_a_forged_frame_is_still_a_torn_tail() {
    let torn_around = |forged: Vec<u8>| {
        let mut journal = committed(1);
        let begin = journal.end;
        fail_after(&mut journal, 1);
        let filler = vec![5; SECTOR - frame::HEADER - 8];
        assert!(journal.commit(&[filler, forged, vec![6; SECTOR]]).is_err());
        let end = journal.disk.size(&journal.file).unwrap();
        after_crash(journal.into_disk(), |unsynced| match unsynced {
            Unsynced::Write { offset, .. } => offset != begin && offset < end,
            Unsynced::Name { .. } => true,
        })
    };
    let own = Marks::new(committed(1).segment.marker);
    let forge = |marks: &Marks| frame::encode(marks, &Chain { counter: 9, digest: Digest::ZERO }, &group(1)).unwrap().0;
    for forged in [forge(&Marks::new([7; 16])), forge(&own)] {
        let (records, torn) = torn_around(forged).unwrap();
        assert_eq!((records, torn.unwrap().offset), (group(1), 3 * SECTOR as u64));
    }
}

/// A write that went to another place shows by its header, wherever that is.
#[test]
fn r15_a_frame_written_elsewhere_is_refused() {
    let mut journal = committed(1);
    let (file, begin) = (journal.file.clone(), journal.end as usize);
    journal.commit(&group(2)).unwrap();
    journal.disk.damage(&file, |bytes| {
        bytes.copy_within(begin..begin + 2 * SECTOR, begin + 3 * SECTOR);
        bytes[begin..begin + 2 * SECTOR].fill(0);
    });
    let Err(OpenError::Damaged { offset, damage: Damage::Frame, .. }) = open(journal.into_disk()) else { panic!("accepted") };
    assert_eq!(offset as usize, begin);
}
