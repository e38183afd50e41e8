"""The service beside the PACS: durable jobs, DICOM node, REST API, workers, deliveries."""
