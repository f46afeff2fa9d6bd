"""The tour: the real window driven through the whole job by mouse and key events, with pictures and a report."""
