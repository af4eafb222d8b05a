"""What a training leaves behind: the published file, the result document, the report and its advice."""
