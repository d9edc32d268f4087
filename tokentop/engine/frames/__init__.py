"""The live table as bytes, and back. Pure.

A picture is a list of vectors of whole numbers: one for each row, one for the totals, five for the graphs. Texts are
numbers of a dictionary. A frame holds only how its vectors differ from those of another picture, column by column,
as MessagePack under zlib; a key frame differs from nothing. What slides with the clock alone (graphs, sparks) is
moved along before it is compared, so that a table in which nothing happens is the same table.

Left out: the processes below an agent that are no rows, averages over longer windows, the curve of the forecast.
Cut: commands to their program, what a permission is asked for to its tool.
"""
