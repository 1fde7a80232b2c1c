#![no_main]
ragtime_fuzz::target!("office");
