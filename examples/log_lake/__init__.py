"""Log lake: JSON events of many tenants as Parquet on an object store, read with SQL, guarded by Keyrack."""
