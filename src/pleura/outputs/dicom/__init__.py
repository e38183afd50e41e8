"""Results as DICOM objects: Segmentation, structured report, Secondary Capture.

highdicom takes half a second to import: only the modules that build an object import it, and they
are imported when the first one is written.
"""
