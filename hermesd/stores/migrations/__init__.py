"""The history of the tables, one file a version; run by `hermesd.stores.migrate`."""
