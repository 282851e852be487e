"""Cameras of the lab: RTSP servers that play a test scene in H.264."""
