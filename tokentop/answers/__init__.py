"""What somebody asks for, worked out when it is asked: nothing in here runs while nobody looks."""
