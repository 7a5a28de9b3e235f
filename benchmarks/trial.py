import sys,time,random
sys.path.insert(0,'benchmarks')
from detection.world import *
from detection.ours import *
from statistics import mean
def reference(world, start, until, rate, hazard=None):
    top=bottom=0.0
    steps=60
    for s in range(steps):
        t=start+(until-start)*(s+.5)/steps
        pages={}
        for place,run in world.living(t):
            h = 1/MEAN_S if hazard else run.durations.hazard(t-run.created_at)
            pages[place//100]=pages.get(place//100,0)+h
        top+=sum(sqrt(v) for v in pages.values())**2
        bottom+=sum(pages.values())
    return top/bottom/2/rate + LATENCY_S/2
def trial(n, dur, seeds, start, until, arrivals=0):
    rows={"ours":[], "sweep":[]}; ref=[]; ref2=[]; reqs=[]
    for seed in seeds:
        for name,kind in (("ours",Ours),("sweep",Sweep)):
            w=World(n,[("t",1.0,dur)],seed=seed,arrivals_until=arrivals)
            c=kind(w); t0=time.time(); c.run(start,until)
            d=[c.account.seen_at[r.live.id]-r.ends_at for r in w.runs if start<=r.ends_at<until and r.created_at<until and r.live.id in c.account.seen_at]
            rows[name]+=d
            if name=="ours":
                rate=c.account.requests/(until-start)
                ref.append(reference(w,start,until,rate)); ref2.append(reference(w,start,until,rate,1)); reqs.append(c.account.requests)
            print("   ",name,n,dur.name,len(d),round(mean(d),2),c.account.requests,c.account.throttled,round(time.time()-t0,1),"s", file=sys.stderr)
    o=rows["ours"]; s=rows["sweep"]
    print(n,dur.name,"ours",round(mean(o),2),"p95",round(sorted(o)[int(.95*len(o))],2),"sweep",round(mean(s),2),"ref",round(mean(ref),2),"memoryless ref",round(mean(ref2),2),"ratio",round(mean(o)/mean(ref),3), len(o))
if __name__=="__main__":
    n=int(sys.argv[1]); dur={"e":exponential,"n":narrow,"h":heavy}[sys.argv[2]]()
    trial(n,dur,range(int(sys.argv[3])),600,1500, float(sys.argv[4]) if len(sys.argv)>4 else 0)
