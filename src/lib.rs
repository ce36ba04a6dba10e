//! dcmsfs: the DestinE Data Cache as local, read-only directories.
