"""Running a detector over images, folders, videos, cameras and recordings, and writing what it finds."""
