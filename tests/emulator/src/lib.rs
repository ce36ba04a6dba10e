//! Stands in for the DestinE Data Cache services.
