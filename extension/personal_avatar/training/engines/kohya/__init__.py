"""kohya-ss sd-scripts as the engine of a training.

limits    what it cannot do, said before anything starts (no torch)
sizes     checkpoints of another size than its own (no torch); sized is what runs its scripts on them
pictures  the prepared pictures in its layout, and its dataset file
command   plan -> its command line
progress  what it prints -> steps, loss, seconds per step
child     its process: started, read, ended
outputs   the files that it saves
remains   what is left of all that when our own process was killed (no torch)
engine    all of these together
"""
