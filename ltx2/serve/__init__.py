"""`ltx2 serve`: a page and an interface over HTTP to one session, for the people of one machine.

server    the process: which sessions, threads and sockets there are, and how they end
guard     who may ask: host names, origins, the token, sizes; headers of every answer
app       what can be asked: the routes
asked     what a request says, as the arguments of Session
maker     the thread that makes videos, one after the other
events    who is told what happens
store     the queue, which outlives the process
folder    the files: clips, pictures, jobs
page/     what a browser gets, as it lies there
"""
