//! One suite for every broker: what the traits promise, on the embedded log and on real Kafka.
//!
//! Kafka is found by `PENSTOCK_TEST_KAFKA` (`host:port`); `cargo xtask services start` gives one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod compaction;
mod groups;
mod hard_kill;
mod readers;
mod records;
mod support;
mod topics;
mod transactions;

macro_rules! conformance {
    ($($area:ident: $($test:ident),+;)+) => {
        mod embedded {
            $($(#[test] fn $test() { crate::$area::$test(&crate::support::Fixture::embedded()); })+)+
        }
        mod kafka {
            $($(#[test] fn $test() {
                if let Some(fixture) = crate::support::Fixture::kafka() {
                    crate::$area::$test(&fixture);
                }
            })+)+
        }
    };
}

conformance! {
    topics:
        a_topic_is_created_once_by_many_at_the_same_time,
        a_new_topic_answers_for_all_its_partitions_at_once,
        topic_settings_are_kept,
        names_and_settings_that_cannot_be_are_refused,
        a_deleted_topic_is_gone_with_its_records_and_offsets,
        what_does_not_exist_is_said_to_be_unknown;
    records:
        records_come_back_as_they_were_sent,
        offsets_are_contiguous_and_deliveries_come_in_order_of_sends,
        keys_are_placed_as_the_java_client_places_them,
        records_without_a_key_spread_over_the_partitions,
        log_append_time_is_the_brokers,
        a_mebibyte_passes_and_more_than_the_topic_takes_is_refused,
        a_full_load_passes_a_topic_that_takes_only_small_batches,
        offsets_are_found_by_time;
    readers:
        a_reader_starts_where_it_is_told,
        a_waiting_reader_is_woken,
        nothing_is_missed_of_a_partition_that_grows_while_another_is_read,
        polls_end_at_their_limits;
    groups:
        a_group_goes_on_where_it_committed,
        two_members_share_and_a_partition_waits_for_its_release,
        paused_partitions_are_silent_and_others_flow,
        seek_moves_within_an_assignment,
        a_member_may_set_its_start_when_assigned,
        a_topic_that_comes_later_is_read,
        a_group_may_start_with_what_comes,
        offsets_are_set_from_outside_only_without_members,
        a_stalled_member_loses_its_partitions_and_commits_no_more;
    transactions:
        outputs_and_offsets_become_visible_together,
        aborted_records_are_never_seen_and_positions_pass_them,
        an_open_transaction_holds_readers_back,
        a_newer_producer_fences_the_older,
        a_zombie_commits_nothing_after_the_group_went_on,
        old_group_metadata_is_fenced,
        calls_out_of_turn_are_refused,
        a_refused_record_leaves_the_transaction_whole;
    compaction:
        compaction_keeps_the_last_of_each_key_and_its_offset,
        a_compacted_topic_takes_no_record_without_a_key;
    hard_kill:
        what_was_committed_before_a_hard_kill_is_there_once;
}

#[test]
fn a_producer_goes_by_what_a_kafka_topic_takes_now() {
    if let Some(fixture) = support::Fixture::kafka() {
        records::a_topic_that_takes_less_than_it_did_takes_what_comes_again(&fixture);
    }
}
