//! A disk that fails on purpose, under every SQLite file of a process.
